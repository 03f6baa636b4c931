//! Progress bars on a terminal; nothing elsewhere.

use std::io::IsTerminal;
use std::sync::OnceLock;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::pipeline::Progress;

/// The bars of one run.
pub(super) struct Bars {
    all: MultiProgress,
    /// There only once something is downloaded.
    download: OnceLock<ProgressBar>,
}

impl Bars {
    pub(super) fn new() -> Self {
        let shown = std::io::stderr().is_terminal();
        let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self { all: MultiProgress::with_draw_target(target), download: OnceLock::new() }
    }

    /// Takes all bars off the screen, so that the summary stands alone.
    pub(super) fn clear(&self) {
        self.download.get().inspect(|bar| bar.finish_and_clear());
        // What cannot be cleared stays on the screen, which harms nobody.
        let _ = self.all.clear();
    }
}

impl Progress for Bars {
    fn download(&self, done: u64, total: Option<u64>) {
        let bar = self.download.get_or_init(|| {
            let bar = self.all.add(ProgressBar::no_length());
            bar.set_style(style("{prefix:<20} {bar:30} {bytes}/{total_bytes} {bytes_per_sec}"));
            bar.set_prefix("download");
            bar
        });
        total.into_iter().for_each(|total| bar.set_length(total));
        bar.set_position(done);
    }

    fn rows(&self, table: &str) -> Box<dyn Fn(u64) + Send + Sync> {
        let bar = self.all.add(ProgressBar::new_spinner());
        bar.set_style(style("{prefix:<20} {spinner} {human_pos} rows {per_sec}"));
        bar.set_prefix(table.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        Box::new(move |rows| bar.inc(rows))
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
