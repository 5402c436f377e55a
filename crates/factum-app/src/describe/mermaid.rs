//! A flowchart in Mermaid's notation, which GitHub, GitLab and most editors draw.

use super::{Description, Kind};
use std::{collections::BTreeMap, fmt::Write};

impl Description {
    /// A flowchart: commands to events, events to those who follow them, processes to the commands
    /// that they send, publications to what leaves the service.
    #[must_use]
    pub fn mermaid(&self) -> String {
        let mut chart = Chart::default();
        for event in &self.events {
            chart.node(&format!("event {}", event.name), &event.name, Shape::Event);
        }
        for decision in &self.decisions {
            let key = format!("decision {}", decision.name);
            chart.node(&key, &decision.commands.join("<br/>"), Shape::Command);
            chart.edges(&key, "-->", decision.emits.iter().map(|name| format!("event {name}")));
        }
        for one in &self.followers {
            let key = format!("follower {} {}", one.name, one.version);
            chart.node(&key, &one.name, Shape::of(&one.kind));
            for name in &one.reads {
                chart.edges(&format!("event {name}"), "-->", [key.clone()]);
            }
            match &one.kind {
                Kind::Process { sends } => chart.edges(&key, "-.->", self.deciders(sends)),
                Kind::Publication { messages } => {
                    for message in messages {
                        let to = format!("message {} {}", message.name, message.version);
                        let text = format!("{} v{}", message.name, message.version);
                        chart.node(&to, &text, Shape::Message);
                        chart.edges(&key, "==>", [to]);
                    }
                }
                Kind::Projection | Kind::Handler => {}
            }
        }
        chart.text()
    }

    /// The decisions that these commands are of, each once, as keys of nodes.
    fn deciders(&self, commands: &[String]) -> Vec<String> {
        let sent = |name: &String| commands.contains(name);
        let of = self.decisions.iter().filter(|one| one.commands.iter().any(sent));
        of.map(|one| format!("decision {}", one.name)).collect()
    }
}

/// How a node is drawn.
#[derive(Clone, Copy)]
enum Shape {
    Command,
    Event,
    Projection,
    Process,
    Handler,
    Publication,
    Message,
}

impl Shape {
    fn of(kind: &Kind) -> Self {
        match kind {
            Kind::Projection => Self::Projection,
            Kind::Process { .. } => Self::Process,
            Kind::Handler => Self::Handler,
            Kind::Publication { .. } => Self::Publication,
        }
    }

    /// What stands around the text, and the class.
    fn marks(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Command => ("[", "]", "command"),
            Self::Event => ("([", "])", "event"),
            Self::Projection => ("[(", ")]", "projection"),
            Self::Process => ("{{", "}}", "process"),
            Self::Handler => ("[/", "/]", "handler"),
            Self::Publication => ("[\\", "\\]", "publication"),
            Self::Message => (">", "]", "message"),
        }
    }
}

/// The colours of event storming, as far as they go: fill and stroke.
const CLASSES: &[(&str, &str, &str)] = &[
    ("command", "#a6d8ff", "#1f6fb2"),
    ("event", "#ffc27a", "#c46a00"),
    ("projection", "#c8f0c0", "#3d8b37"),
    ("process", "#d9c2ff", "#6b3fb0"),
    ("handler", "#e8e8e8", "#666666"),
    ("publication", "#e8e8e8", "#666666"),
    ("message", "#ffe08a", "#b38600"),
];

#[derive(Default)]
struct Chart {
    /// Short ids, as names have characters that ids have not.
    ids: BTreeMap<String, usize>,
    nodes: String,
    edges: String,
}

impl Chart {
    fn id(&mut self, key: &str) -> usize {
        let next = self.ids.len();
        *self.ids.entry(key.to_owned()).or_insert(next)
    }

    fn node(&mut self, key: &str, text: &str, shape: Shape) {
        if self.ids.contains_key(key) {
            return;
        }
        let (id, (open, close, class)) = (self.id(key), shape.marks());
        let text = text.replace('"', "#quot;");
        put(&mut self.nodes, format_args!("    n{id}{open}\"{text}\"{close}:::{class}\n"));
    }

    fn edges(&mut self, from: &str, arrow: &str, to: impl IntoIterator<Item = String>) {
        let from = self.id(from);
        for key in to {
            let to = self.id(&key);
            put(&mut self.edges, format_args!("    n{from} {arrow} n{to}\n"));
        }
    }

    fn text(&self) -> String {
        let mut text = format!("flowchart LR\n{}{}", self.nodes, self.edges);
        for (class, fill, stroke) in CLASSES {
            let line =
                format_args!("    classDef {class} fill:{fill},stroke:{stroke},color:#000\n");
            put(&mut text, line);
        }
        text
    }
}

fn put(text: &mut String, line: std::fmt::Arguments<'_>) {
    text.write_fmt(line).expect("a string takes any text");
}
