//! Which events `read` and `tail` show: every option, both directions, as of then.

use super::support::{Place, member};

/// Three orders with three events each, in turn; positions 1 to 9.
fn orders() -> Place {
    let place = Place::new();
    for (hour, kind) in [(1, "placed"), (2, "paid"), (3, "sent")] {
        for order in ["order-1", "order-2", "invoice-1"] {
            let at = format!("2024-01-01T0{hour}:00:00Z");
            let tag = format!("in:{order}");
            place
                .run(&[
                    "append",
                    order,
                    "--type",
                    kind,
                    "--tag",
                    &tag,
                    "--tag",
                    "all",
                    "--occurred-at",
                    &at,
                ])
                .ok();
        }
    }
    place
}

#[track_caller]
fn check(place: &Place, args: &str, positions: &[u64]) {
    let args: Vec<&str> = args.split(' ').collect();
    let expected: Vec<String> = positions.iter().map(u64::to_string).collect();
    assert_eq!(member(&place.events(&args), "position"), expected, "{args:?}");
}

#[test]
fn what_is_selected_is_shown_from_where_it_is_asked() {
    let place = orders();
    for (args, positions) in [
        ("order-1", &[1, 4, 7][..]),
        ("--all", &[1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ("--all --limit 2", &[1, 2]),
        ("--all --backwards --limit 2", &[9, 8]),
        ("--all --from 8", &[8, 9]),
        ("--all --from 2 --backwards", &[2, 1]),
        ("--all --from start --limit 1", &[1]),
        ("--all --from end", &[]),
        ("--all --from end --backwards --limit 1", &[9]),
        ("--all --from start --backwards", &[]),
        ("--all --limit 0", &[]),
        ("order-1 --from 1", &[4, 7]),
        ("order-1 --backwards --from 1", &[4, 1]),
        ("order-1 --type paid --type sent", &[4, 7]),
        ("order-1 --type sent --limit 1", &[7]),
        ("order-1 --backwards --type placed --limit 5", &[1]),
        ("order-1 --tag in:order-2", &[]),
        ("--type paid", &[4, 5, 6]),
        ("--category invoice", &[3, 6, 9]),
        ("--category invoice --category order --type sent", &[7, 8, 9]),
        ("--tag in:order-2 --type paid", &[5]),
        ("--tag in:order-2 --tag all", &[2, 5, 8]),
        ("--tag in:order-2 --tag in:order-1", &[]),
        ("--all --type sent", &[7, 8, 9]),
        ("--all --as-of 4", &[1, 2, 3, 4]),
        ("order-1 --as-of 6 --backwards", &[4, 1]),
        ("--all --as-of 1970-01-01T00:00:00Z", &[]),
        ("order-2 --occurred-as-of 2024-01-01T02:00:00Z", &[2, 5]),
        ("--all --occurred-as-of 2024-01-01T02:30:00+01:00", &[1, 2, 3]),
    ] {
        check(&place, args, positions);
    }
}

#[test]
fn as_of_a_moment_of_recording_is_a_prefix() {
    let place = orders();
    let fifth = &place.events(&["--all"])[4]["recordedAt"];
    check(&place, &format!("--all --as-of {}", fifth.as_str().unwrap()), &[1, 2, 3, 4, 5]);
}

#[test]
fn tail_shows_from_where_it_is_asked_and_ends_at_the_limit() {
    let place = orders();
    for (args, positions) in [
        ("--all --from start --limit 2", &["1", "2"][..]),
        ("--all --from 8 --limit 2", &["8", "9"]),
        ("order-2 --from 1 --limit 2", &["5", "8"]),
        ("order-2 --from start --type sent --limit 1", &["8"]),
        ("--category invoice --from 1 --limit 3", &["3", "6", "9"]),
    ] {
        let args: Vec<&str> = ["tail", "--json"].into_iter().chain(args.split(' ')).collect();
        let events = super::support::lines(&place.run(&args).ok());
        assert_eq!(member(&events, "position"), positions, "{args:?}");
    }
}
