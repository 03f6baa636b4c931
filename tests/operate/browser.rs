//! The page as a browser draws it: nothing sticks out, no two labels touch, and every bar is there to be seen.
//!
//! Needs Chromium; where there is none the test says that it was skipped. The pictures stay below the target folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cdc_to_s3::ops::history::History;
use chrono::Duration;
use serde_json::Value;

use super::page::{made, table};

/// Looks at the drawn page and leaves what it found in the document.
const LOOK: &str = r#"<script>addEventListener("load", () => {
  const boxes = (selector) => [...document.querySelectorAll(selector)].map((e) => [e, e.getBoundingClientRect()]);
  const touch = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
  const touching = [], outside = [];
  for (const svg of document.querySelectorAll("svg")) {
    const texts = [...svg.querySelectorAll("text")].map((e) => [e, e.getBoundingClientRect()]);
    const frame = svg.getBoundingClientRect();
    texts.forEach(([e, a], n) => {
      if (a.left < frame.left - 1 || a.right > frame.right + 1 || a.bottom > frame.bottom + 2) outside.push(e.textContent);
      texts.slice(n + 1).forEach(([f, b]) => { if (touch(a, b)) touching.push(e.textContent + " | " + f.textContent); });
    });
  }
  const bars = boxes("svg.changes rect.inserted, svg.changes rect.updated, svg.changes rect.deleted");
  const hit = document.querySelector("svg.changes .slot .hit");
  hit.scrollIntoView({ block: "center", inline: "center" });
  const slot = hit.getBoundingClientRect();
  dispatchEvent(new PointerEvent("pointermove"));
  document.elementFromPoint(slot.x + slot.width / 2, slot.y + slot.height / 2)
    .dispatchEvent(new PointerEvent("pointermove", { bubbles: true, clientX: slot.x, clientY: slot.y + 100 }));
  const facts = {
    touching, outside, bars: bars.length, invisible: bars.filter(([, b]) => b.width < 1 || b.height < 1).length,
    wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    tip: document.getElementById("tip").hidden ? null : document.getElementById("tip").innerText,
    background: getComputedStyle(document.body).backgroundColor,
  };
  document.title = JSON.stringify(facts);
});</script>"#;

/// The browser's program, if there is one.
fn chromium() -> Option<PathBuf> {
    let folders = ["/usr/bin", "/usr/local/bin", "/snap/bin"];
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let places = folders.iter().flat_map(|folder| names.map(|name| Path::new(folder).join(name)));
    places.into_iter().find(|place| place.exists())
}

fn browse(chromium: &Path, page: &Path, dark: bool, size: (u32, u32), more: &[String]) -> String {
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new(chromium)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("--blink-settings=preferredColorScheme={}", if dark { 0 } else { 1 }))
        .arg(format!("--window-size={},{}", size.0, size.1))
        .args(more)
        .arg(format!("file://{}", page.display()))
        .env("HOME", profile.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What [`LOOK`] found on the page.
fn facts(chromium: &Path, page: &Path, dark: bool, size: (u32, u32)) -> Value {
    let dom = browse(chromium, page, dark, size, &["--dump-dom".to_owned()]);
    let title = dom.split("<title>").nth(1).unwrap().split("</title>").next().unwrap();
    let title = title.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    serde_json::from_str(&title).unwrap_or_else(|_| panic!("the page was not looked at: {title}"))
}

#[test]
fn a_browser_draws_the_page_as_it_is_meant() {
    let Some(chromium) = chromium() else {
        eprintln!("SKIPPED: there is no Chromium here to draw the page with");
        return;
    };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("history");
    fs::create_dir_all(&folder).unwrap();
    let lakes = [
        ("year", 1300, Duration::hours(6), 200),
        ("busy", 3000, Duration::minutes(5), 90),
        ("new", 2, Duration::hours(6), 1),
    ];
    for (name, runs, apart, least_bars) in lakes {
        let tables = ["clientes", "transacoes", "produtos"].iter().zip([3, 5, 8]);
        let tables = tables.map(|(table_name, seed)| table(table_name, runs, apart, seed)).collect();
        let html = made(&History { tables, warnings: Vec::new() });
        let page = folder.join(format!("{name}.html"));
        fs::write(&page, &html).unwrap();
        let looked_at = folder.join(format!("{name}-looked-at.html"));
        fs::write(&looked_at, html.replace("</body>", &format!("{LOOK}</body>"))).unwrap();
        let mut backgrounds = Vec::new();
        for (dark, size) in [(false, (1180, 1400)), (true, (1180, 1400)), (false, (500, 900))] {
            let found = facts(&chromium, &looked_at, dark, size);
            assert_eq!(
                (&found["touching"], &found["outside"]),
                (&Value::Array(vec![]), &Value::Array(vec![])),
                "{name}"
            );
            assert_eq!((&found["invisible"], &found["wide"]), (&Value::from(0), &Value::from(0)), "{name} {size:?}");
            assert!(found["bars"].as_u64() >= Some(least_bars), "{found}");
            assert!(found["tip"].as_str().is_some_and(|tip| tip.contains("first load")), "{found}");
            backgrounds.push(found["background"].clone());
        }
        assert_ne!(backgrounds[0], backgrounds[1], "light and dark are the same");
    }
    for (dark, scheme) in [(false, "light"), (true, "dark")] {
        let picture = folder.join(format!("{scheme}.png"));
        let shot = format!("--screenshot={}", picture.display());
        browse(&chromium, &folder.join("year.html"), dark, (1180, 1500), &[shot]);
        assert!(fs::metadata(&picture).unwrap().len() > 20_000);
    }
}
