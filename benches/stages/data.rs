//! The rows that the stages work on: the columns of `peers/generate.py`, made here.

use std::fmt::Write;

const WORDS: [&str; 12] =
    ["café", "pão", "açúcar", "chá", "feijão", "arroz", "leite", "queijo", "coração", "São", "João", "avó"];

/// A version of the table as CSV. From the first to the second 3 % of the rows are updated, 2 % are deleted and 4 % are
/// inserted.
pub(crate) fn csv(version: u64, rows: u64) -> String {
    let mut text =
        "idVenda;idCliente;dtCriacao;dtAtualizacao;qtItens;vlTotal;descLoja;descObservacao;flAtivo\n".to_owned();
    let (first, last) = if version == 1 { (0, rows) } else { (rows / 50, rows + rows / 25) };
    for row in first..last {
        let updated = version == 2 && row % 100 < 3;
        line(&mut text, row, updated);
    }
    text
}

fn line(text: &mut String, row: u64, updated: bool) {
    let draw = |column: u64, below: u64| noise(row, column) % below;
    let moment = |column: u64| {
        let (month, day) = (draw(column, 12) + 1, draw(column + 1, 28) + 1);
        let (hour, minute, second) = (draw(column + 2, 24), draw(column + 3, 60), draw(column + 4, 60));
        format!("{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{:03}", draw(column + 5, 1000))
    };
    let year = if updated { 2026 } else { 2025 };
    let remark = remark(&draw);
    let written = writeln!(
        text,
        "{:016x}{:016x};C{:08};2024-{};{year}-{};{};{}.{:02};Loja {};{remark};{}",
        noise(row, 1),
        noise(row, 2),
        draw(3, 70_000),
        moment(10),
        moment(20),
        draw(4, 20) + 1,
        draw(5, 999) + 1,
        draw(6, 100),
        draw(7, 300) + 1,
        draw(8, 2),
    );
    written.unwrap();
}

/// Words; one in twelve has a delimiter and quotes in it, one in five is empty.
fn remark(draw: &dyn Fn(u64, u64) -> u64) -> String {
    let words: Vec<&str> = (0..draw(30, 8) + 4).map(|place| WORDS[draw(40 + place, 12) as usize]).collect();
    match draw(31, 100) {
        0..20 => String::new(),
        20..28 => format!("\"{}; \"\"promoção\"\" {}\"", words.join(" "), draw(32, 99) + 1),
        _ => words.join(" "),
    }
}

/// 64 bits that look random: the finaliser of SplitMix64.
fn noise(row: u64, column: u64) -> u64 {
    let mut mixed = row.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ column.wrapping_mul(0xD134_2543_DE82_EF95);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}
