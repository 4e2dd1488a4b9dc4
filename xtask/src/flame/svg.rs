//! Pure: a tree of frames as a picture. Width is share of the samples, what is called stands on its caller.

use std::fmt::Write as _;

use super::tree::Frame;

const WIDTH: f64 = 1200.0;
const ROW: f64 = 17.0;
const TOP: f64 = 40.0;
/// A character of the text, about.
const LETTER: f64 = 6.6;
/// Less than this share of all samples is left out.
const SMALLEST: f64 = 0.002;

/// Draws it; each frame tells its name and share when it is pointed at.
pub(super) fn draw(title: &str, root: &Frame) -> String {
    let depth = depth(root, least(root));
    let height = TOP + ROW * (depth as f64 + 1.0) + 10.0;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" font-family=\"monospace\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"10\" y=\"24\" font-size=\"15\">{}</text>\n",
        escaped(title)
    );
    let place = Place {
        left: 0.0,
        bottom: height - 10.0,
        of: root.samples.max(1) as f64,
        least: least(root),
    };
    place.frame(&mut out, "all", root);
    out.push_str("</svg>\n");
    out
}

fn least(root: &Frame) -> u64 {
    (root.samples as f64 * SMALLEST).ceil() as u64
}

fn depth(frame: &Frame, least: u64) -> usize {
    let called = frame.called.values().filter(|called| called.samples >= least);
    called.map(|called| 1 + depth(called, least)).max().unwrap_or(0)
}

struct Place {
    left: f64,
    bottom: f64,
    of: f64,
    least: u64,
}

impl Place {
    fn frame(&self, out: &mut String, name: &str, frame: &Frame) {
        let width = WIDTH * frame.samples as f64 / self.of;
        let top = self.bottom - ROW;
        let share = 100.0 * frame.samples as f64 / self.of;
        let letters = ((width - 4.0) / LETTER).max(0.0) as usize;
        let _ = write!(
            out,
            "<g><title>{} ({share:.1} %)</title><rect x=\"{:.1}\" y=\"{top:.0}\" width=\"{:.1}\" height=\"{:.0}\" fill=\"{}\"/>",
            escaped(name),
            self.left,
            (width - 0.4).max(0.2),
            ROW - 1.0,
            colour(name)
        );
        if letters >= 4 {
            let shown: String = short(name).chars().take(letters).collect();
            let (x, y) = (self.left + 3.0, top + 12.0);
            let _ = write!(out, "<text x=\"{x:.1}\" y=\"{y:.0}\">{}</text>", escaped(&shown));
        }
        out.push_str("</g>\n");
        let mut left = self.left;
        for (name, called) in &frame.called {
            if called.samples >= self.least {
                let place = Self {
                    left,
                    bottom: top,
                    ..*self
                };
                place.frame(out, name, called);
            }
            left += WIDTH * called.samples as f64 / self.of;
        }
    }
}

/// The end of a path of modules says most.
fn short(name: &str) -> &str {
    match name.starts_with('<') {
        true => name,
        false => {
            let end = name.find('<').unwrap_or(name.len());
            let parts: Vec<(usize, &str)> = name[..end].rmatch_indices("::").collect();
            parts.get(2).map_or(name, |(at, _)| &name[at + 2..])
        }
    }
}

/// One of some warm colours, always the same for a name.
fn colour(name: &str) -> String {
    let sum = name
        .bytes()
        .fold(7_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    format!(
        "#{:02x}{:02x}{:02x}",
        225 + sum % 30,
        130 + sum / 32 % 90,
        70 + sum / 4096 % 50
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_large_is_drawn_and_what_is_small_is_left_out() {
        let mut root = Frame {
            samples: 1000,
            ..Frame::default()
        };
        for (name, samples) in [("work<T>", 999), ("rest", 1)] {
            let frame = Frame {
                samples,
                ..Frame::default()
            };
            root.called.insert(name.to_owned(), frame);
        }
        let picture = draw("a & b", &root);
        assert!(
            picture.contains("work&lt;T&gt; (99.9 %)") && picture.contains("a &amp; b"),
            "{picture}"
        );
        assert!(!picture.contains("rest"), "{picture}");
    }
}
