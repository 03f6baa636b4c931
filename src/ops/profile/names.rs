//! What the names of columns say, in English and in Portuguese.

/// Parts of the names of times at which a row was changed.
const CHANGE: [&str; 8] = ["updat", "modif", "chang", "atualiz", "alter", "lastedit", "last_edit", "revis"];

/// Names, and ends of names, of identifiers beside `id`.
const CODES: [&str; 10] = ["uuid", "guid", "key", "chave", "codigo", "code", "cod", "sku", "number", "numero"];

/// Whether a column of this name holds the time of a row's last change.
pub(super) fn says_change(column: &str) -> bool {
    let lower = column.to_lowercase();
    CHANGE.iter().any(|part| lower.contains(part))
}

/// How much a column's name looks like that of the key of `table`, from 0 to 4.
pub(super) fn key_likeness(column: &str, table: &str) -> u8 {
    let lower = column.to_lowercase();
    let rest = id_of(column).map(str::to_lowercase);
    let table = table.to_lowercase();
    match rest.as_deref() {
        Some("") => 4,
        Some(rest) if shares_a_beginning(rest, &table) => 4,
        Some(_) => 3,
        None if CODES.iter().any(|code| lower == *code) => 2,
        None if CODES.iter().any(|code| lower.starts_with(code) || lower.ends_with(code)) => 1,
        None => 0,
    }
}

/// What a column `id`, `idCliente`, `cliente_id`, `ClienteID` is the id of.
fn id_of(column: &str) -> Option<&str> {
    if column.eq_ignore_ascii_case("id") {
        return Some("");
    }
    let split = |at: usize| (column.is_char_boundary(at)).then(|| column.split_at(at));
    let before = split(2).filter(|(id, rest)| {
        id.eq_ignore_ascii_case("id") && rest.starts_with(|c: char| c.is_uppercase() || c == '_' || c == ' ')
    });
    let after = split(column.len().saturating_sub(2)).filter(|(rest, id)| {
        id.eq_ignore_ascii_case("id")
            && (rest.ends_with(['_', ' ', '-']) || id.starts_with('I') && rest.ends_with(char::is_lowercase))
    });
    let rest = before.map(|(_, rest)| rest).or(after.map(|(rest, _)| rest))?;
    Some(rest.trim_matches(|c: char| "_ -".contains(c)))
}

/// Whether two words begin alike, so that `cliente` is of `clientes` and `transacao` of `transacoes`.
fn shares_a_beginning(word: &str, table: &str) -> bool {
    let alike = word.chars().zip(table.chars()).take_while(|(a, b)| a == b).count();
    let shorter = word.chars().count().min(table.chars().count());
    // A longer word is of another table: `transacao_produto` is not `transacao`.
    let longer = word.chars().count().max(table.chars().count());
    alike >= 3 && alike + 3 >= shorter && longer <= shorter + 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_the_table_come_before_other_ids_and_those_before_codes() {
        let likeness = |column| key_likeness(column, "clientes");
        assert_eq!(["id", "idCliente", "cliente_id", "ClienteID"].map(likeness), [4; 4]);
        assert_eq!(["idProduto", "produto_id", "IdTransacaoProduto"].map(likeness), [3; 3]);
        assert_eq!(["uuid", "codCliente", "nome", "paid", "ideal"].map(likeness), [2, 1, 0, 0, 0]);
        assert_eq!(key_likeness("idTransacao", "transacoes"), 4);
        assert_eq!(key_likeness("idTransacao", "transacao_produto"), 3);
    }

    #[test]
    fn times_of_change_are_told_from_times_of_creation() {
        assert!(["DtAtualizacao", "updated_at", "LastModified", "data_alteracao"].into_iter().all(says_change));
        assert!(!["DtCriacao", "created_at", "birthday"].into_iter().any(says_change));
    }
}
