//! Given, when, then: what holds passes, and what does not is told so that one sees why.

use crate::orders::{Cancel, Order, OrderCancelled, OrderEvent, OrderPlaced, Place, Rejected};
use factum_app::{Metadata, Timestamp};
use factum_testkit::{given, given_nothing, same};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

/// What a failing scenario says.
fn failure<T>(scenario: impl FnOnce() -> T) -> String {
    let panic = catch_unwind(AssertUnwindSafe(|| drop(scenario()))).expect_err("it is to fail");
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).into())).unwrap_or_default()
}

fn placed(order: u32) -> OrderPlaced {
    OrderPlaced { order, total: 5, note: "quick".into() }
}

fn place(order: u32, total: u32) -> Place {
    Place { order, total, note: "quick".into() }
}

#[test]
fn what_comes_of_a_command_is_given_to_the_next() {
    given_nothing()
        .when(place(1, 5))
        .then_events([placed(1)])
        .when(place(1, 5))
        .then_refused(Rejected::Exists)
        .when(Cancel { order: 1 })
        .then_events([OrderCancelled { order: 1 }])
        .when(Cancel { order: 1 })
        .then_nothing()
        .when(place(1, 0))
        .then_refused_as(|refusal| matches!(refusal, Rejected::Empty { .. }));
}

#[test]
fn a_state_is_what_the_facts_come_to() {
    let given = given([placed(1)]).later(Duration::from_secs(60));
    assert_eq!(given.state::<Order>(), Order::Pending);
    assert_eq!(given.and([OrderCancelled { order: 1 }]).state::<Order>(), Order::Cancelled);
}

#[test]
fn time_and_actor_are_those_of_the_scenario() {
    let time = Timestamp(1_000_000_000);
    let metadata = Metadata { actor: Some("ann".into()), ..Metadata::default() };
    given_nothing()
        .at(time)
        .metadata(metadata)
        .when(Place { note: "who".into(), ..place(1, 5) })
        .then_events([OrderPlaced { note: "ann at 1000000000".into(), ..placed(1) }]);
}

#[test]
fn other_events_are_shown_field_by_field() {
    let text = failure(|| {
        given([placed(1), placed(2)].map(OrderEvent::from).into_iter().take(1))
            .when(Cancel { order: 1 })
            .then_events([OrderEvent::from(OrderCancelled { order: 2 }), placed(3).into()])
    });
    same(
        "the text",
        text.as_str(),
        r#"given
  order.placed {"note":"quick","order":1,"total":5}
when
  order.cancel {"order":1}
then other events than expected
(- expected, + emitted)
    order.cancelled {
  -   "order": 2
  - }
  - order.placed {
  -   "note": "quick",
  -   "order": 3,
  -   "total": 5
  +   "order": 1
    }
"#,
    );
}

#[test]
fn another_outcome_than_expected_says_which() {
    let text = failure(|| given([placed(1)]).when(place(1, 5)).then_events([placed(1)]));
    same(
        "refused",
        text.as_str(),
        r#"given
  order.placed {"note":"quick","order":1,"total":5}
when
  order.place {"note":"quick","order":1,"total":5}
then refused with Exists, but expected
  order.placed {"note":"quick","order":1,"total":5}
"#,
    );
    let text = failure(|| given_nothing().when(Cancel { order: 1 }).then_refused(Rejected::Exists));
    same(
        "nothing",
        text.as_str(),
        r#"given nothing
when
  order.cancel {"order":1}
then refused with Exists was expected, but nothing was to be done (not pending)"#,
    );
    let text = failure(|| given_nothing().when(place(1, 5)).then_nothing());
    assert!(text.ends_with(
        "then nothing was expected, but emitted\n  order.placed \
         {\"note\":\"quick\",\"order\":1,\"total\":5}\n"
    ));
    let text = failure(|| given_nothing().when(place(1, 0)).then_refused(Rejected::Exists));
    let shown = "(- expected, + got)\n  - Exists\n  + Empty {\n  +     total: 0,\n  + }\n";
    assert!(text.ends_with(shown) && text.contains("refused in another way"), "{text}");
    let text = failure(|| given_nothing().when(place(1, 5)).then_refused_as(|_| true));
    assert!(text.contains("a refusal was expected, but emitted"), "{text}");
    let text = failure(|| given_nothing().when(Cancel { order: 1 }).then_events([placed(1)]));
    assert!(text.contains("then nothing was to be done (not pending), but expected"), "{text}");
    let text = failure(|| given_nothing().when(place(1, 0)).then_nothing());
    assert!(text.ends_with("nothing was expected, but refused with Empty { total: 0 }"), "{text}");
    let text = failure(|| given_nothing().when(place(1, 0)).then_refused_as(|_| false));
    assert!(text.ends_with("in another way than expected: Empty { total: 0 }"), "{text}");
}

#[test]
fn a_fact_that_the_command_would_never_read_is_a_mistake() {
    let text = failure(|| given([placed(1), placed(2)]).when(Cancel { order: 1 }).then_nothing());
    same(
        "the text",
        text.as_str(),
        r#"given
  order.placed {"note":"quick","order":1,"total":5}
  order.placed {"note":"quick","order":2,"total":5}
when
  order.cancel {"order":1}
then fact 2 (order.placed in stream order-2) makes no difference: `order.cancel` never reads it.
It reads: stream order-1.
Leave the fact out, correct its tags, or widen what the command reads (`boundary`)."#,
    );
}

#[test]
fn a_command_that_fails_says_how() {
    let text = failure(|| given_nothing().when(crate::orders::Stray { order: 1 }).then_nothing());
    assert!(text.contains("then it fails: `order.stray` emits"), "{text}");
    assert!(text.contains("outside of its boundary: widen it"), "{text}");
    let long = "x".repeat(2_000);
    let text = failure(|| given([crate::orders::Named { name: long }]).when(place(1, 5)));
    assert!(text.starts_with("this fact cannot be stored: "), "{text}");
}
