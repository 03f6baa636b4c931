//! The tests' stand-in for a SQL Server database as a process of its own, for trying the whole program without a server.
//!
//! ```text
//! cargo run --example sqlserver_stand_in -- --listen 127.0.0.1:14330 --history examples/shop/history.json
//! ```
//!
//! It answers this program's own queries and no others, without encryption. It prints `listening on …` when it is ready,
//! and stands at the first moment of its history then. Each line of input (Enter) moves it to the next one; it prints the
//! moment's time, which is also what the database's clock shows. It ends with its input.

#[path = "../tests/support/sqlserver/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the tests use the rest")]
mod sqlserver;
#[path = "../tests/support/tds/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the tests use the rest")]
mod tds;

#[path = "shop/history.rs"]
mod history;

use std::error::Error;
use std::fs::File;
use std::io::{BufReader, Write};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Parser;
use tokio::runtime::Runtime;

use self::history::History;
use self::sqlserver::{Contents, Database, Plain};
use self::tds::{Answers, Server};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A stand-in for a SQL Server database with change data capture, on loopback.
#[derive(Parser)]
struct Arguments {
    /// The address; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: String,
    /// The tables and what becomes of them, as in examples/shop/history.json.
    #[arg(long)]
    history: PathBuf,
    /// The user who is let in, with --password.
    #[arg(long, default_value = "reader")]
    user: String,
    /// The password.
    #[arg(long, default_value = "not-a-real-password")]
    password: String,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let history: History = serde_json::from_reader(BufReader::new(File::open(&arguments.history)?))?;
    let mut moments = history.moments.iter();
    let first = moments.next().ok_or("the history has no moment")?;
    let mut contents = Contents::new(&history.database, first.time);
    history.begin(&mut contents)?;
    history.pass(&mut contents, first)?;
    let database = Arc::new(Database::new(Plain::new(contents.clone()), &arguments.user, &arguments.password));
    // Its threads go on serving while this one waits for input.
    let runtime = Runtime::new()?;
    let answers = Arc::clone(&database) as Arc<dyn Answers>;
    let server = runtime.block_on(Server::listen(&arguments.listen, tds::Settings::default(), answers))?;
    say(&format!("listening on {}", server.address()))?;
    for line in std::io::stdin().lines() {
        line?;
        let Some(moment) = moments.next() else {
            say("the history is at its end")?;
            continue;
        };
        history.pass(&mut contents, moment)?;
        database.holdings.change(|current| *current = contents.clone());
        say(&moment.time.to_rfc3339())?;
    }
    Ok(())
}

fn say(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{text}")?;
    Ok(stdout.flush()?)
}
