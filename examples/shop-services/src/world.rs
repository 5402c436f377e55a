//! The world around the services: a database server, a broker, and the processes; all of which can
//! be killed, and come back.

use crate::service::NAMES;
use factum::app::prelude::*;
use factum_services::{kafka::Tansu, nats::Nats, postgres::Postgres, rabbitmq::RabbitMq};
use std::{process::Stdio, sync::Mutex};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

/// A broker, killed and started again at the same address.
enum Server {
    Nats(Nats),
    RabbitMq(RabbitMq),
    Kafka(Tansu),
}

/// Everything that runs beside this process.
pub(crate) struct World {
    postgres: Mutex<Postgres>,
    broker: Mutex<Server>,
    broker_url: String,
    urls: Vec<String>,
    orchestrated: bool,
    children: Vec<Mutex<Child>>,
}

impl World {
    /// Starts all of it: a database for each service.
    pub(crate) async fn start(broker: &str, orchestrated: bool) -> Result<Self> {
        let postgres = Postgres::start()?;
        let mut urls = Vec::new();
        for name in NAMES {
            postgres.psql(&format!("CREATE DATABASE shop_{name}"))?;
            let url = postgres.url();
            let server = url.rsplit_once('/').map_or(url.as_str(), |(server, _)| server);
            urls.push(format!("{server}/shop_{name}"));
        }
        let (server, broker_url) = match broker {
            "nats" => {
                let nats = Nats::start()?;
                let url = nats.url();
                (Server::Nats(nats), url)
            }
            "rabbitmq" => {
                let rabbit = RabbitMq::start()?;
                let url = rabbit.url();
                (Server::RabbitMq(rabbit), url)
            }
            "kafka" => {
                let tansu = Tansu::start()?;
                let url = format!("kafka://{}", tansu.url());
                (Server::Kafka(tansu), url)
            }
            other => return Err(format!("{other:?} is not one of nats, rabbitmq, kafka").into()),
        };
        let mut world = Self {
            postgres: Mutex::new(postgres),
            broker: Mutex::new(server),
            broker_url,
            urls,
            orchestrated,
            children: Vec::new(),
        };
        // All of them hear before anybody speaks: a broker may keep nothing for who never came.
        for number in 0..NAMES.len() {
            let mut child = world.spawn(number, Stdio::piped())?;
            let output = child.stdout.take().ok_or("a pipe was asked for")?;
            let ready = BufReader::new(output).lines().next_line().await?;
            ready.ok_or("a service ended before it was ready")?;
            world.children.push(Mutex::new(child));
        }
        Ok(world)
    }

    /// Where the store of a service is, by its place in [`NAMES`].
    pub(crate) fn url(&self, number: usize) -> Result<&str> {
        Ok(self.urls.get(number).ok_or("there is no such service")?)
    }

    fn spawn(&self, number: usize, output: Stdio) -> Result<Child> {
        let name = NAMES.get(number).ok_or("there is no such service")?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["service", name, self.url(number)?, &self.broker_url]);
        command.args(self.orchestrated.then_some("--orchestrated"));
        command.stdin(Stdio::null()).stdout(output).kill_on_drop(true);
        Ok(command.spawn()?)
    }

    /// Kills a service and starts it again; a service that ended by itself is an error.
    pub(crate) fn kill_service(&self, number: usize) -> Result<&'static str> {
        let child = self.children.get(number).ok_or("there is no such service")?;
        let mut child = child.lock().map_err(|_| "poisoned")?;
        if let Some(status) = child.try_wait()? {
            return Err(format!("a service ended by itself: {status}").into());
        }
        child.start_kill()?;
        *child = self.spawn(number, Stdio::null())?;
        Ok(NAMES.get(number).copied().unwrap_or_default())
    }

    /// Kills the database server, and starts it again.
    pub(crate) fn kill_postgres(&self) -> Result<&'static str> {
        self.postgres.lock().map_err(|_| "poisoned")?.restart()?;
        Ok("PostgreSQL")
    }

    /// Whether the broker has after a crash what it had before. The one for Kafka's protocol that
    /// can be installed anywhere keeps everything in memory.
    pub(crate) fn broker_is_durable(&self) -> Result<bool> {
        Ok(!matches!(&*self.broker.lock().map_err(|_| "poisoned")?, Server::Kafka(_)))
    }

    /// Kills the broker, and starts it again.
    pub(crate) fn kill_broker(&self) -> Result<&'static str> {
        match &mut *self.broker.lock().map_err(|_| "poisoned")? {
            Server::Nats(nats) => nats.restart()?,
            Server::RabbitMq(rabbit) => rabbit.restart()?,
            Server::Kafka(tansu) => tansu.restart()?,
        }
        Ok("the broker")
    }
}
