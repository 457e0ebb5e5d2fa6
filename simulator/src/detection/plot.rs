//! The plot of messages and time by the number of peers, as SVG.

use std::fmt::Write as _;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 440.0;
/// Room for seven digits.
const MARGIN: f64 = 80.0;
/// Parts of the axis of seconds; it ends at a multiple of so many seconds.
const PARTS: u8 = 4;

/// Draws messages (left, beside n·log₂ n) and seconds (right) over peers, both axes of messages logarithmic. Points are
/// (peers, messages, seconds).
pub fn plot(points: &[(f64, f64, f64)]) -> String {
    let decades = |values: &mut dyn Iterator<Item = f64>| {
        let (least, most) = values.fold((f64::MAX, 1.0_f64), |(least, most), value| {
            (least.min(value), most.max(value))
        });
        (least.min(most).log10().floor(), most.log10().ceil())
    };
    let bound = |peers: f64| peers * peers.log2();
    let across = decades(&mut points.iter().map(|point| point.0));
    let up = decades(&mut points.iter().flat_map(|point| [point.1, bound(point.0)]));
    let longest = points.iter().map(|point| point.2).fold(1.0, f64::max);
    let seconds = (longest / f64::from(PARTS)).ceil() * f64::from(PARTS);
    let x = |peers: f64| {
        MARGIN
            + (peers.log10() - across.0) / (across.1 - across.0).max(1.0) * (WIDTH - 2.0 * MARGIN)
    };
    let from_below = |share: f64| HEIGHT - MARGIN - share * (HEIGHT - 2.0 * MARGIN);
    let y = |messages: f64| from_below((messages.log10() - up.0) / (up.1 - up.0).max(1.0));
    let z = |took: f64| from_below(took / seconds);

    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    let text = |svg: &mut String, x: f64, y: f64, anchor: &str, colour: &str, text: &str| {
        let _ = writeln!(
            svg,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{colour}\">{text}</text>"
        );
    };
    let line = |svg: &mut String, points: &[(f64, f64)], colour: &str, dash: &str| {
        let points: Vec<_> = points
            .iter()
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        let points = points.join(" ");
        let _ = writeln!(
            svg,
            "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dash}\"/>"
        );
    };
    let dots = |svg: &mut String, points: &[(f64, f64)], colour: &str| {
        for (x, y) in points {
            let _ = writeln!(
                svg,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{colour}\"/>"
            );
        }
    };
    let (left, right, bottom) = (MARGIN, WIDTH - MARGIN, HEIGHT - MARGIN);
    let mut power = up.0;
    while power <= up.1 {
        let at = y(10_f64.powf(power));
        line(&mut svg, &[(left, at), (right, at)], "#e0e0e0", "none");
        text(
            &mut svg,
            left - 8.0,
            at + 4.0,
            "end",
            "#1f5fa8",
            &format!("{:.0}", 10_f64.powf(power)),
        );
        power += 1.0;
    }
    for part in 0..=PARTS {
        let took = seconds * f64::from(part) / f64::from(PARTS);
        text(
            &mut svg,
            right + 8.0,
            z(took) + 4.0,
            "start",
            "#b3541e",
            &format!("{took:.0} s"),
        );
    }
    for (peers, ..) in points {
        text(
            &mut svg,
            x(*peers),
            bottom + 18.0,
            "middle",
            "#333333",
            &format!("{peers:.0}"),
        );
    }
    let of = |value: fn(&(f64, f64, f64)) -> f64, place: &dyn Fn(f64) -> f64| {
        points
            .iter()
            .map(|point| (x(point.0), place(value(point))))
            .collect::<Vec<_>>()
    };
    let bounds: Vec<_> = points
        .iter()
        .map(|point| (x(point.0), y(bound(point.0))))
        .collect();
    line(&mut svg, &bounds, "#999999", "4 4");
    for (points, colour) in [
        (of(|point| point.1, &y), "#1f5fa8"),
        (of(|point| point.2, &z), "#b3541e"),
    ] {
        line(&mut svg, &points, colour, "none");
        dots(&mut svg, &points, colour);
    }
    text(
        &mut svg,
        WIDTH / 2.0,
        HEIGHT - 14.0,
        "middle",
        "#333333",
        "peers",
    );
    text(
        &mut svg,
        left,
        MARGIN - 30.0,
        "start",
        "#1f5fa8",
        "messages in all",
    );
    text(
        &mut svg,
        WIDTH / 2.0,
        MARGIN - 30.0,
        "middle",
        "#777777",
        "dashed: n·log₂ n messages",
    );
    text(
        &mut svg,
        right,
        MARGIN - 30.0,
        "end",
        "#b3541e",
        "seconds after the last start",
    );
    svg.push_str("</svg>\n");
    svg
}
