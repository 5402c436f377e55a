//! How a projection hangs on an app.

use super::{
    Inline, Inlined, MemoryTarget, Projection, Target,
    projector::{Job, Projector},
    redrive::Redrive,
    target::{Part, Role, Table},
};
use crate::{
    App, AppBuilder,
    consumer::{OnError, Options, Spec, StartError},
    describe::Kind,
    event::DecodePolicy,
};
use factum_core::Item;
use std::{any::TypeId, collections::HashMap, sync::Arc};

/// A projection that was registered.
#[derive(Clone, Debug)]
pub(crate) struct Registered {
    pub(crate) table: Table,
    pub(crate) parts: u32,
    pub(crate) redrive: Redrive,
    /// What else than the types restricts the events that it sees.
    pub(crate) narrow: Item,
    pub(crate) decode: DecodePolicy,
    /// Its rows are written by the appends.
    pub(crate) is_inline: bool,
}

impl Registered {
    /// What the consumer of a part is called.
    pub(crate) fn consumer(&self, index: u32, role: Role) -> String {
        let Table { name, .. } = &self.table;
        let part = if self.parts > 1 { format!("{name}/{index}") } else { name.clone() };
        match role {
            Role::Keeper => part,
            Role::Builder => format!("{part} (rebuild)"),
        }
    }
}

/// The projections of an app, and where their rows live.
#[derive(Debug)]
pub(crate) struct Views {
    target: Arc<dyn Target>,
    /// It may be shared by several instances: not this process's own memory.
    is_shared: bool,
    all: HashMap<TypeId, Registered>,
    inlines: Vec<Arc<dyn Inline>>,
}

impl Default for Views {
    fn default() -> Self {
        Self {
            target: Arc::new(MemoryTarget::new()),
            is_shared: false,
            all: HashMap::new(),
            inlines: Vec::new(),
        }
    }
}

impl Views {
    pub(crate) fn target(&self) -> &Arc<dyn Target> {
        &self.target
    }

    /// Has the target write what is inline from now on.
    pub(crate) fn begin_inline(&self) -> Result<(), StartError> {
        for one in &self.inlines {
            let begun = self.target.inline(one.clone());
            let name = || one.table().name.clone();
            begun.map_err(|source| StartError::Inline { name: name(), source })?;
        }
        Ok(())
    }

    pub(crate) fn get<P: Projection>(&self) -> Option<&Registered> {
        self.all.get(&TypeId::of::<P>())
    }
}

impl AppBuilder {
    /// Where the rows of all projections live; in memory, unless it is said otherwise.
    pub fn target(mut self, target: impl Target) -> Self {
        self.views.target = Arc::new(target);
        self.views.is_shared = true;
        self
    }

    /// Keeps the rows of a projection: `.projection::<Summary>(OnError::Park)`.
    pub fn projection<P: Projection>(self, options: impl Into<Options>) -> Self {
        self.register::<P>(&options.into(), false)
    }

    /// Keeps the rows of a projection in the transaction of each append of this app: who has
    /// written reads what became of it at once. An event that cannot be applied refuses the append,
    /// and nothing of it is written; there is no other policy. Needs a target that lies beside the
    /// events in a store with transactions: see [`Inline`]. Events with personal fields cannot be
    /// read there.
    ///
    /// Events from before are taken in as by any projection, and so are those of a program that
    /// does not have it; `at_least` waits for those. What stops there has stopped until it is
    /// resumed, and the rows are no longer inline until then.
    pub fn inline_projection<P: Projection>(mut self) -> Self {
        // A name that is none is told by the consumer.
        if let Ok(inlined) = Inlined::<P>::new() {
            self.views.inlines.push(Arc::new(inlined));
        }
        self.register::<P>(&OnError::Stop.into(), true)
    }

    fn register<P: Projection>(mut self, options: &Options, is_inline: bool) -> Self {
        let table = Table { name: P::NAME.to_owned(), version: P::VERSION };
        let registered = Registered {
            table,
            parts: options.partitions,
            redrive: Redrive::default(),
            narrow: options.narrow.clone(),
            decode: options.decode,
            is_inline,
        };
        self.registered.follow::<P::Event>(P::NAME, P::VERSION, Kind::Projection);
        self.views.all.insert(TypeId::of::<P>(), registered.clone());
        for index in 0..registered.parts {
            for role in [Role::Keeper, Role::Builder] {
                self = self.part::<P>(&registered, options, Place { index, role });
            }
        }
        self
    }

    fn part<P: Projection>(self, of: &Registered, options: &Options, place: Place) -> Self {
        let Place { index, role } = place;
        let name = of.consumer(index, role);
        let spec = Spec::of::<P::Event>(name.clone(), P::VERSION, options);
        let spec = spec.map_err(|source| StartError::Name { name, source });
        let of = of.clone();
        self.plan(spec, move |app: &App| {
            let keeper = (role == Role::Builder).then(|| of.consumer(index, Role::Keeper));
            Projector::<P>::new(Job {
                table: of.table.clone(),
                part: Part { index, of: of.parts },
                role,
                target: app.views().target().clone(),
                is_shared: role == Role::Keeper && app.views().is_shared,
                store: app.store().clone(),
                redrive: of.redrive.clone(),
                decode: of.decode,
                is_inline: of.is_inline,
                keys: app.shared_keys(),
                keeper: keeper.and_then(|name| app.consumer_of(&name, P::VERSION)),
            })
        })
    }
}

/// Which part, and who.
#[derive(Clone, Copy)]
struct Place {
    index: u32,
    role: Role,
}
