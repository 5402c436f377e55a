//! What of XES is understood, and what is refused where.

use super::*;
use crate::template::Columns;
use std::io::Cursor;

fn read(xml: &str) -> Vec<Result<Record, String>> {
    let records = records(Box::new(Cursor::new(xml.as_bytes().to_vec())));
    records.each.map(|record| record.map_err(|fault| fault.to_string())).collect()
}

fn log(inside: &str) -> String {
    let head = "<?xml version=\"1.0\"?>\n<!-- a log -->\n<log xes.version=\"1849-2016\">";
    format!("{head}\n{inside}\n</log>\n")
}

fn data(xml: &str) -> String {
    String::from_utf8(read(xml).remove(0).unwrap().data.to_vec()).unwrap()
}

fn fails(xml: &str, with: &str) {
    let last = read(xml).pop().expect("a fault is an item");
    let error = last.unwrap_err();
    assert!(error.contains(with), "{error}");
}

#[test]
fn traces_are_cases_and_globals_are_not_facts() {
    let xml = log(r#"<extension name="Concept" prefix="concept" uri="x"/>
        <global scope="event"><string key="concept:name" value="?"/></global>
        <classifier name="Activity" keys="concept:name"/>
        <string key="origin" value="csv"/>
        <trace><string key="concept:name" value="Case 1"/>
          <event><string key="concept:name" value="A &amp; B"/></event>
          <event><string key="concept:name" value="C"/></event></trace>
        <trace/>
        <trace><string key="concept:name" value="Case 2"/><event/></trace>
        <event><string key="concept:name" value="alone"/></event>"#);
    let records: Vec<Record> = read(&xml).into_iter().map(Result::unwrap).collect();
    let data: Vec<_> =
        records.iter().map(|record| std::str::from_utf8(&record.data).unwrap()).collect();
    assert_eq!(
        data,
        [
            r#"{"case:concept:name":"Case 1","concept:name":"A & B"}"#,
            r#"{"case:concept:name":"Case 1","concept:name":"C"}"#,
            r#"{"case:concept:name":"Case 2"}"#,
            r#"{"concept:name":"alone"}"#,
        ]
    );
    assert_eq!(records[0].fields.get("case:concept:name"), Some("Case 1"));
    assert_eq!(records[1].place, Place { what: "event", number: 2, line: Some(10) });
}

#[test]
fn values_keep_their_types() {
    let xml = log(r#"<event>
        <int key="i" value="-7"/><float key="f" value="35.0"/><float key="g" value=".5"/>
        <float key="n" value="NaN"/><boolean key="b" value="1"/>
        <date key="d" value="2012-10-09T14:50:17+00:00"/><id key="u" value="x"/></event>"#);
    let expected =
        r#"{"i":-7,"f":35.0,"g":0.5,"n":"NaN","b":true,"d":"2012-10-09T14:50:17+00:00","u":"x"}"#;
    assert_eq!(data(&xml), expected);
}

#[test]
fn lists_containers_and_nested_attributes_keep_everything() {
    let xml = log(r#"<event>
        <list key="l"><values><string key="a" value="1"/><string key="a" value="2"/></values></list>
        <list key="old"><int key="a" value="1"/></list>
        <container key="c"><int key="a" value="1"/></container>
        <string key="s" value="x"><int key="inner" value="1"/></string></event>"#);
    let expected = concat!(
        r#"{"l":[{"a":"1"},{"a":"2"}],"old":[{"a":1}],"c":[{"a":1}],"#,
        r#""s":{"value":"x","children":{"inner":1}}}"#
    );
    assert_eq!(data(&xml), expected);
}

#[test]
fn an_unknown_element_is_named_with_its_line() {
    fails(&log("<trace>\n<event>\n<strnig key='a' value='b'/></event></trace>"), "line 6 (byte ");
    fails(
        &log("<trace><event><strnig key='a' value='b'/></event></trace>"),
        "unknown element <strnig>",
    );
    fails(&log("<trase/>"), "unknown element <trase>");
    fails(&log("<trace><trace/></trace>"), "unknown element <trace>");
    fails(&log("<event><string key='a' value='b'><values/></string></event>"), "<values>");
    fails("<html/>", "unknown element <html>, outside <log>");
    fails("<log/><log/>", "unknown element <log>");
}

#[test]
fn a_bad_value_is_one_bad_event() {
    let xml =
        log(r#"<event><int key="n" value="x"/></event><event><int key="n" value="1"/></event>
        <event><int key="n" value="1"/><int key="n" value="1"/></event>
        <event><string key="s"/></event>"#);
    let records = read(&xml);
    assert_eq!(
        records[0].as_ref().unwrap_err(),
        "event 1 (line 4): `n` is `x`, and must be a whole number"
    );
    assert!(records[1].is_ok());
    assert!(records[2].as_ref().unwrap_err().contains("`n` occurs twice"));
    assert!(records[3].as_ref().unwrap_err().contains("`s` has no `value`"));
}

#[test]
fn what_is_cut_off_or_no_xml_is_refused() {
    let whole = log("<trace><event><string key='a' value='b'/></event></trace>");
    let log_end = whole.find("</log>").unwrap();
    for length in 0..log_end {
        assert!(read(&whole[..length]).last().is_some_and(Result::is_err), "cut at {length}");
    }
    fails("", "the file ends before </log>");
    fails(&log("<trace></event>"), "it is not XML");
    fails(&log("words"), "text between elements: `words`");
    fails(&log("<event><string value='b'/></event>"), "<string> has no `key`");
    fails(&log("<trace><event/><string key='a' value='b'/></trace>"), "must come before");
    fails(&log("<event><string key='a' value='&bomb;'/></event>"), "bomb");
}

#[test]
fn attributes_do_not_nest_without_end() {
    let deep = "<string key='a' value='b'>".repeat(100);
    fails(&log(&format!("<event>{deep}")), "nested deeper than 32");
}
