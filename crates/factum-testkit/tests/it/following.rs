//! Given, when, then for projections and processes.

use crate::orders::{Cancel, OrderCancelled, OrderEvent, OrderPlaced, Place};
use factum_app::{
    CommandSet, Envelope, EventSet, Input, Process, Projection, Reply, Route, Row, Steps,
    Timestamp, data, event,
};
use factum_testkit::{given, given_nothing};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

const HOUR: Duration = Duration::from_secs(3_600);

fn failure<T>(scenario: impl FnOnce() -> T) -> String {
    let panic = catch_unwind(AssertUnwindSafe(|| drop(scenario()))).expect_err("it is to fail");
    panic.downcast_ref::<String>().cloned().unwrap_or_default()
}

fn placed(order: u32, total: u32) -> OrderPlaced {
    OrderPlaced { order, total, note: "quick".into() }
}

#[data]
struct Summary {
    total: u32,
    open: bool,
}

impl Projection for Summary {
    const NAME: &'static str = "summary";
    type Event = OrderEvent;

    fn apply(row: &mut Row<Self>, event: &Envelope<OrderEvent>) {
        match &event.event {
            OrderEvent::Placed(placed) => row.set(Self { total: placed.total, open: true }),
            OrderEvent::Cancelled(_) => row.edit(|row| row.open = false),
        }
    }
}

#[test]
fn rows_are_what_the_facts_come_to() {
    given([placed(1, 5), placed(2, 7)])
        .and([OrderCancelled { order: 1 }])
        .project::<Summary>()
        .then_rows([(2, Summary { total: 7, open: true }), (1, Summary { total: 5, open: false })])
        .project::<Summary>()
        .then_row(2, Summary { total: 7, open: true });
    given_nothing().project::<Summary>().then_rows::<String>([]);
}

#[test]
fn other_rows_are_shown_by_field() {
    let text = failure(|| {
        given([placed(1, 5)])
            .project::<Summary>()
            .then_rows([(1, Summary { total: 6, open: true })])
    });
    assert!(text.contains("-         total: 6") && text.contains("+         total: 5"), "{text}");
    let text =
        failure(|| given([placed(1, 5)]).project::<Summary>().then_row(9, Summary::default()));
    assert!(text.contains(r#"no row "9"; there are ["1"]"#), "{text}");
}

#[event("order.paid", stream = "order-{order}")]
struct OrderPaid {
    #[tag]
    order: u32,
}

#[derive(Clone, Debug, EventSet)]
enum PaymentEvent {
    Placed(OrderPlaced),
    Paid(OrderPaid),
}

#[derive(Clone, Debug, CommandSet)]
enum PaymentCommand {
    Cancel(Cancel),
    Again(Place),
}

#[data]
struct Payment {
    order: u32,
}

impl Process for Payment {
    const NAME: &'static str = "payment";
    type Event = PaymentEvent;
    type Command = PaymentCommand;

    fn route(event: &PaymentEvent) -> Route {
        match event {
            PaymentEvent::Placed(one) => Route::start(one.order),
            PaymentEvent::Paid(one) => Route::stop(one.order),
        }
    }

    fn react(&mut self, input: Input<Self>, steps: Steps<Self>) -> Steps<Self> {
        match input {
            Input::Event(PaymentEvent::Placed(one)) => {
                self.order = one.order;
                let again = |total| Place { order: one.order, total, note: "again".into() };
                let steps = steps.after(HOUR, "unpaid");
                steps.compensate_with(again(1)).compensate_with(again(2))
            }
            Input::TimedOut(_) => steps.send(Cancel { order: self.order }),
            Input::Replied(_, Reply::Refused(why)) => steps.fail(why),
            Input::Replied(..) => steps.end(),
            Input::Event(PaymentEvent::Paid(_)) => steps,
        }
    }
}

const START: Timestamp = Timestamp(1_000_000_000_000);

#[test]
fn commands_and_timers_follow_from_facts_and_time() {
    let unpaid = given_nothing().at(START).and([placed(1, 5)]);
    let due = START.plus_seconds(3_600);
    unpaid.clone().process::<Payment>().then_no_commands().then_timers([(1, "unpaid", due)]);
    unpaid
        .clone()
        .later(HOUR)
        .process::<Payment>()
        .then_commands([Cancel { order: 1 }])
        .then_no_timers()
        .then_ended(1);
    unpaid
        .and([OrderPaid { order: 1 }])
        .later(HOUR)
        .process::<Payment>()
        .then_no_commands()
        .then_ended(1);
}

/// Cancels an hour later, without being told of the time.
#[data]
struct Scheduled;

impl Process for Scheduled {
    const NAME: &'static str = "scheduled";
    type Event = PaymentEvent;
    type Command = PaymentCommand;

    fn route(event: &PaymentEvent) -> Route {
        Payment::route(event)
    }

    fn react(&mut self, input: Input<Self>, steps: Steps<Self>) -> Steps<Self> {
        match input {
            Input::Event(PaymentEvent::Placed(one)) => {
                steps.send_after(HOUR, Cancel { order: one.order })
            }
            Input::Replied(PaymentCommand::Cancel(_), _) => steps.end(),
            _ => steps,
        }
    }
}

#[test]
fn a_command_that_is_to_be_sent_later_is_a_timer_until_then() {
    let unpaid = given_nothing().at(START).and([placed(1, 5)]);
    let due = START.plus_seconds(3_600);
    let early = unpaid.clone().process::<Scheduled>();
    early.then_no_commands().then_timers([(1, "order.cancel", due)]);
    let late = unpaid.clone().later(HOUR).process::<Scheduled>();
    late.then_commands([Cancel { order: 1 }]).then_no_timers().then_ended(1);
    let paid = unpaid.and([OrderPaid { order: 1 }]).later(HOUR).process::<Scheduled>();
    paid.then_no_commands().then_ended(1);
}

#[test]
fn a_refusal_undoes_what_was_remembered() {
    let again = |total| PaymentCommand::from(Place { order: 1, total, note: "again".into() });
    given([placed(1, 5)])
        .later(HOUR)
        .process_answering::<Payment>(|_| Reply::Refused("shut".into()))
        .then_commands([PaymentCommand::from(Cancel { order: 1 }), again(2), again(1)])
        .then_failed(1, "shut");
}

#[test]
fn what_is_not_as_expected_is_told() {
    let late = || given([placed(1, 5)]).later(HOUR).process::<Payment>();
    let text = failure(|| late().then_commands([Cancel { order: 2 }]));
    assert!(text.contains(r#"-   "order": 2"#) && text.contains(r#"+   "order": 1"#), "{text}");
    assert!(text.contains("(- expected, + sent)"), "{text}");
    let text = failure(|| late().then_timers([(1, "unpaid", START)]));
    assert!(text.contains("other timers"), "{text}");
    let text = failure(|| late().then_failed(1, "shut"));
    assert!(text.contains("1 has not failed"), "{text}");
    let text = failure(|| late().then_ended(7));
    assert!(text.contains("7 never began"), "{text}");
    let early = || given([placed(1, 5)]).process::<Payment>();
    let text = failure(|| early().then_ended(1));
    assert!(text.contains("1 has not ended"), "{text}");
}
