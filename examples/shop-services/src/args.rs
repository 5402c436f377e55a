//! What the command line says.

use crate::service::Service;
use factum::app::prelude::*;

pub(crate) const USAGE: &str = "\
Usage: shop-services [OPTIONS]

  --broker nats|rabbitmq|kafka   over which broker [nats]
  --orders N                     how many orders [200]
  --seed N                       who is killed when [1]
  --calm                         nobody is killed
  --orchestrated                 the order service says what the others do
";

/// A run of the whole shop.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) broker: String,
    pub(crate) orders: u32,
    pub(crate) seed: u64,
    pub(crate) calm: bool,
    pub(crate) orchestrated: bool,
}

/// What to do.
pub(crate) enum Args {
    Run(Run),
    /// One service.
    Service(Service),
}

impl Args {
    pub(crate) fn read(mut words: impl Iterator<Item = String>) -> Result<Self> {
        let mut run = Run {
            broker: "nats".to_owned(),
            orders: 200,
            seed: 1,
            calm: false,
            orchestrated: false,
        };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} what?\n\n{USAGE}"));
            match word.as_str() {
                "service" => {
                    return Ok(Self::Service(Service {
                        name: value()?,
                        store: value()?,
                        broker: value()?,
                        orchestrated: words.any(|word| word == "--orchestrated"),
                    }));
                }
                "--broker" => run.broker = value()?,
                "--orders" => run.orders = value()?.parse()?,
                "--seed" => run.seed = value()?.parse()?,
                "--calm" => run.calm = true,
                "--orchestrated" => run.orchestrated = true,
                _ => return Err(format!("{word}?\n\n{USAGE}").into()),
            }
        }
        Ok(Self::Run(run))
    }
}
