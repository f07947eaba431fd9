use super::zone::LocalZone;
use super::{Duration, Time, Zone};

fn zone(name: &str) -> Zone {
    Zone::load(name.as_bytes(), &LocalZone::default()).unwrap()
}

fn parse(layout: &str, value: &str) -> Result<String, String> {
    Time::parse(layout.as_bytes(), value.as_bytes(), &Zone::default())
        .map(|time| time.to_string())
        .map_err(|error| error.to_string())
}

#[test]
fn times_are_shown_where_they_are() {
    let time = Time::from_unix(1_700_000_000, 60_000_000, Zone::Utc);
    for (zone_name, layout, expected) in [
        ("UTC", "Monday, 02-Jan-06 15:04:05 MST", "Tuesday, 14-Nov-23 22:13:20 UTC"),
        ("America/New_York", "2006-01-02T15:04:05Z07:00", "2023-11-14T17:13:20-05:00"),
        ("Asia/Kathmandu", "2006-01-02 15:04:05 -0700 MST", "2023-11-15 03:58:20 +0545 +0545"),
        ("UTC", "002 __2 _2 3:04PM .000 .999 ,99 .9999999999", "318 318 14 10:13PM .060 .06 ,06 .06"),
        ("UTC", "Mont Jany _2006 January", "Mont Jany _2023 November"),
        ("Etc/GMT+5", "MST -07", "-05 -05"),
    ] {
        let shown = time.in_zone(zone(zone_name)).format(layout.as_bytes());
        assert_eq!(String::from_utf8(shown).unwrap(), expected, "{layout}");
    }
    assert!(Zone::load(b"Europe/london", &LocalZone::default()).is_none());
}

#[test]
fn years_have_no_bounds() {
    assert_eq!(Time::zero().to_string(), "0001-01-01 00:00:00 +0000 UTC");
    let far = Time::from_unix(253_402_300_800, 0, zone("Europe/Berlin"));
    assert_eq!(far.to_string(), "10000-01-01 01:00:00 +0100 CET");
    let early = Time::from_unix(-99_999_999_999, 0, Zone::Utc);
    assert_eq!(early.to_string(), "-1199-02-15 14:13:21 +0000 UTC");
}

#[test]
fn times_are_read() {
    for (layout, value, expected) in [
        ("2006-01-02", "2024-02-29", "2024-02-29 00:00:00 +0000 UTC"),
        ("15:04:05", "10:11:12.345", "0000-01-01 10:11:12.345 +0000 UTC"),
        ("06", "69", "1969-01-01 00:00:00 +0000 UTC"),
        ("2006-002", "2024-060", "2024-02-29 00:00:00 +0000 UTC"),
        ("2006-01-02T15:04:05Z07:00", "2024-01-02T03:04:05+02:00", "2024-01-02 03:04:05 +0200 +0200"),
        ("Mon Jan _2 3:04PM 2006", "tue feb  6 12:30AM 2024", "2024-02-06 00:30:00 +0000 UTC"),
        ("2006-01-02 MST", "2024-01-02 PST", "2024-01-02 00:00:00 +0000 PST"),
        ("2006-01-02 MST", "2024-01-02 GMT+3", "2024-01-02 03:00:00 +0300 GMT+3"),
    ] {
        assert_eq!(parse(layout, value).unwrap(), expected, "{layout}");
    }
}

#[test]
fn errors_read_as_in_go() {
    for (layout, value, expected) in [
        ("2006-01-02", "2024-13-01", r#"parsing time "2024-13-01": month out of range"#),
        ("2006-01-02", "2023-02-29", r#"parsing time "2023-02-29": day out of range"#),
        ("2006-01-02", "x", r#"parsing time "x" as "2006-01-02": cannot parse "x" as "2006""#),
        ("2006/01", "2024-01", r#"parsing time "2024-01" as "2006/01": cannot parse "-01" as "/""#),
        ("2006", "2024é", r#"parsing time "2024é": extra text: "\xc3\xa9""#),
        ("", "a", r#"parsing time "a": extra text: "a""#),
    ] {
        let expected = expected.replace("2024é\":", "2024\\xc3\\xa9\":");
        assert_eq!(parse(layout, value).unwrap_err(), expected);
    }
}

#[test]
fn durations_read_and_print() {
    for (text, shown) in [
        ("1h2m3.5s", "1h2m3.5s"),
        ("-1.5h30m", "-2h0m0s"),
        ("1500us", "1.5ms"),
        ("1µs", "1µs"),
        ("0", "0s"),
        ("999999h", "999999h0m0s"),
        ("2562047h47m16.854775807s", "2562047h47m16.854775807s"),
        ("-2562047h47m16.854775808s", "-2562047h47m16.854775808s"),
    ] {
        assert_eq!(Duration::parse(text.as_bytes()).unwrap().to_string(), shown);
    }
    for (text, error) in [
        ("", r#"time: invalid duration """#),
        ("1", r#"time: missing unit in duration "1""#),
        ("1y", r#"time: unknown unit "y" in duration "1y""#),
        (".s", r#"time: invalid duration ".s""#),
        ("2562047h47m16.854775808s", r#"time: invalid duration "2562047h47m16.854775808s""#),
    ] {
        assert_eq!(Duration::parse(text.as_bytes()).unwrap_err(), error);
    }
    let round = |nanos, unit| Duration(nanos).round(Duration(unit)).0;
    assert_eq!((round(15, 10), round(-15, 10), round(14, 10)), (20, -20, 10));
}

#[test]
fn calendar_arithmetic() {
    let time = Time::parse(b"2006-01-02", b"2024-01-31", &Zone::Utc).unwrap();
    assert_eq!(time.add_date(0, 1, 0).date(), (2024, 3, 2));
    assert_eq!(time.add_date(-1, -13, 1).date(), (2022, 1, 1));
    assert_eq!(time.year_day(), 31);
    let later = time.add(Duration::parse(b"36h30m").unwrap());
    assert_eq!(later.since(&time).to_string(), "36h30m0s");
    assert_eq!(later.truncate(Duration::HOUR).to_string(), "2024-02-01 12:00:00 +0000 UTC");
    assert_eq!(later.round(Duration::HOUR).to_string(), "2024-02-01 13:00:00 +0000 UTC");
    assert_eq!(later.go_string(), "time.Date(2024, time.February, 1, 12, 30, 0, 0, time.UTC)");
}
