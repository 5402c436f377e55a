//! Decisions over more than one stream: tags, tuples of states, several streams at once.

use factum_app::{
    AnyStore, App, Boundary, Ctx, Decision, EventSet, ExecuteError, InvalidName, MemoryStore,
    Outcome, State, command, emit, emit_all, ensure, event,
};
use std::{collections::BTreeSet, convert::Infallible};

#[event("course.defined")]
struct CourseDefined {
    #[tag]
    course: String,
    seats: usize,
}

#[event("student.subscribed", stream = "student-{student}")]
struct Subscribed {
    #[tag]
    course: String,
    #[tag]
    student: String,
}

#[derive(Clone, Debug, EventSet)]
enum CourseEvent {
    Defined(CourseDefined),
    Subscribed(Subscribed),
}

/// One state over two tags.
#[derive(Clone, Default)]
struct Enrolment {
    seats: usize,
    subscribed: BTreeSet<(String, String)>,
}

impl State for Enrolment {
    type Event = CourseEvent;

    fn evolve(mut self, event: &CourseEvent) -> Self {
        match event {
            CourseEvent::Defined(defined) => self.seats = defined.seats,
            CourseEvent::Subscribed(one) => {
                self.subscribed.insert((one.course.clone(), one.student.clone()));
            }
        }
        self
    }
}

#[command("course.define")]
struct Define {
    #[tag]
    course: String,
    seats: usize,
}

impl Decision for Define {
    type State = Enrolment;
    type Refusal = Infallible;

    fn decide(&self, _: &Enrolment, _: &Ctx) -> Outcome<Self> {
        emit(CourseDefined { course: self.course.clone(), seats: self.seats })
    }
}

#[derive(Debug, PartialEq)]
enum Full {
    Course,
    Student,
}

#[command("course.subscribe")]
struct Subscribe {
    #[tag]
    course: String,
    #[tag]
    student: String,
}

impl Decision for Subscribe {
    type State = Enrolment;
    type Refusal = Full;

    fn decide(&self, now: &Enrolment, _: &Ctx) -> Outcome<Self> {
        let here = now.subscribed.iter().filter(|(course, _)| *course == self.course).count();
        let of_student = now.subscribed.iter().filter(|(_, one)| *one == self.student).count();
        ensure(here < now.seats, Full::Course)?;
        ensure(of_student < 2, Full::Student)?;
        emit(Subscribed { course: self.course.clone(), student: self.student.clone() })
    }
}

fn subscribe(course: &str, student: &str) -> Subscribe {
    Subscribe { course: course.into(), student: student.into() }
}

#[test]
fn the_boundary_names_for_each_tag_the_types_that_carry_it() {
    let boundary = subscribe("c1", "s1").boundary().unwrap();
    let factum_app::Part::Query(query) = &boundary.parts()[0] else { panic!("a query") };
    assert_eq!(
        query.to_string(),
        "type course.defined or student.subscribed, tag course:c1; or type student.subscribed, \
         tag student:s1"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_race_overbooks_a_course_or_a_student() {
    let store = AnyStore::new(MemoryStore::new());
    for round in 0..20 {
        let setup = App::new(store.clone());
        for course in 0..4 {
            let course = format!("c{round}-{course}");
            setup.execute(Define { course, seats: 3 }).await.unwrap();
        }
        let tries = (0..4).flat_map(|course| (0..5).map(move |student| (course, student)));
        let tries = tries.map(|(course, student)| {
            let app = App::new(store.clone());
            let command = subscribe(&format!("c{round}-{course}"), &format!("s{round}-{student}"));
            tokio::spawn(async move { app.execute(command).await })
        });
        for one in tries.collect::<Vec<_>>() {
            match one.await.unwrap() {
                Ok(_) | Err(ExecuteError::Refused(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
    let mut all = Enrolment::default();
    let read = factum_core::Read::query(factum_core::Query::All);
    for event in factum_app::EventStore::read(&store, read).await.unwrap().events().await.unwrap() {
        let decoded = CourseEvent::decode(&factum_app::event::Raw::of(&event)).unwrap();
        decoded.for_each(|event| all = std::mem::take(&mut all).evolve(&event));
    }
    let count = |of: fn(&(String, String)) -> &String| {
        let mut counts = std::collections::BTreeMap::new();
        all.subscribed.iter().for_each(|one| *counts.entry(of(one).clone()).or_insert(0) += 1);
        counts
    };
    assert!(count(|one| &one.0).values().all(|seats| *seats <= 3), "a course is overbooked");
    assert!(count(|one| &one.1).values().all(|courses| *courses <= 2), "a student is in too many");
    assert!(all.subscribed.len() >= 20 * 8, "hardly anybody got a seat: {}", all.subscribed.len());
}

#[event("account.credited")]
struct Credited {
    #[tag]
    account: String,
    amount: i64,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Account {
    balance: i64,
}

impl State for Account {
    type Event = Credited;

    fn evolve(self, event: &Credited) -> Self {
        Self { balance: self.balance + event.amount }
    }
}

#[command("account.transfer")]
struct Transfer {
    from: String,
    to: String,
    amount: i64,
}

#[derive(Debug, PartialEq)]
struct Short;

impl Decision for Transfer {
    type State = (Account, Account);
    type Refusal = Short;

    fn boundary(&self) -> Result<(Boundary, Boundary), InvalidName> {
        let of = |account: &String| Boundary::tagged::<Credited>(&[("account", account.clone())]);
        Ok((of(&self.from)?, of(&self.to)?))
    }

    fn decide(&self, (from, _): &(Account, Account), _: &Ctx) -> Outcome<Self> {
        ensure(from.balance >= self.amount, Short)?;
        emit_all([
            Credited { account: self.from.clone(), amount: -self.amount },
            Credited { account: self.to.clone(), amount: self.amount },
        ])
    }
}

#[command("account.credit")]
struct Credit {
    #[tag]
    account: String,
    amount: i64,
}

impl Decision for Credit {
    type State = Account;
    type Refusal = Infallible;

    fn decide(&self, _: &Account, _: &Ctx) -> Outcome<Self> {
        emit(Credited { account: self.account.clone(), amount: self.amount })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_moves_between_two_streams_all_or_nothing() {
    let store = AnyStore::new(MemoryStore::new());
    let app = App::new(store.clone());
    for account in ["a", "b", "c"] {
        app.execute(Credit { account: account.into(), amount: 100 }).await.unwrap();
    }
    let tries = (0..60).map(|n: usize| {
        let app = App::new(store.clone());
        let names = ["a", "b", "c"];
        let (from, to) = (names[n % 3].into(), names[(n + 1 + n % 2) % 3].into());
        tokio::spawn(async move { app.execute(Transfer { from, to, amount: 40 }).await })
    });
    for one in tries.collect::<Vec<_>>() {
        assert!(matches!(
            one.await.unwrap(),
            Ok(_) | Err(ExecuteError::Refused(Short) | ExecuteError::Exhausted { .. })
        ));
    }
    let mut sum = 0;
    for account in ["a", "b", "c"] {
        let account = app
            .load::<Account>(&Boundary::tagged::<Credited>(&[("account", account.into())]).unwrap())
            .await
            .unwrap();
        assert!(account.state().balance >= 0, "overdrawn");
        sum += account.state().balance;
    }
    assert_eq!(sum, 300);
}

/// Emits about another account than the one that it read.
#[command("account.stray")]
struct Stray {
    #[tag]
    account: String,
}

impl Decision for Stray {
    type State = Account;
    type Refusal = Infallible;

    fn decide(&self, _: &Account, _: &Ctx) -> Outcome<Self> {
        emit(Credited { account: "other".into(), amount: 1 })
    }
}

#[tokio::test]
async fn an_event_outside_of_the_boundary_is_refused() {
    let app = App::new(MemoryStore::new());
    let error = app.execute(Stray { account: "mine".into() }).await.unwrap_err();
    assert!(matches!(error, ExecuteError::OutsideBoundary { .. }), "{error}");
    assert_eq!(factum_app::EventStore::head(app.store()).await.unwrap().0, 0);
}

/// Says nothing about what it is about.
#[command("account.vague")]
struct Vague {
    note: String,
}

impl Decision for Vague {
    type State = Account;
    type Refusal = Infallible;

    fn decide(&self, _: &Account, _: &Ctx) -> Outcome<Self> {
        emit(Credited { account: self.note.clone(), amount: 1 })
    }
}

#[tokio::test]
async fn a_command_without_a_tag_that_its_state_knows_has_no_boundary() {
    let app = App::new(MemoryStore::new());
    let error = app.execute(Vague { note: "x".into() }).await.unwrap_err();
    assert!(matches!(error, ExecuteError::NoBoundary { command: "account.vague" }), "{error}");
}
