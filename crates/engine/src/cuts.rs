//! Chunker parameters, as archives record them, and whether files were cut by them.

use worldkeeper_archive::ChunkRef;
use worldkeeper_chunker::ChunkerParams;
use worldkeeper_core::msgpack::Value;

/// How stock writes chunker parameters into an archive.
pub(crate) fn to_value(params: &ChunkerParams) -> Value {
    let list = |name: &str, numbers: &[u32]| {
        let numbers = numbers.iter().map(|number| Value::Int((*number).into()));
        Value::Array(std::iter::once(Value::Raw(name.into())).chain(numbers).collect())
    };
    match *params {
        ChunkerParams::Buzhash { min_exp, max_exp, mask_bits, window, .. } => {
            list("buzhash", &[min_exp, max_exp, mask_bits, window])
        }
        ChunkerParams::Fixed { block, header, .. } => list("fixed", &[block, header]),
    }
}

/// Returns whether two archives recorded that they cut alike. Old ones leave out the name of the only algorithm there was.
///
/// Source: borg 1.4 `helpers/parseformat.py`, `normalize_chunker_params`.
pub(crate) fn are_equal(one: &Value, other: &Value) -> bool {
    numbers(one) == numbers(other)
}

/// The parameters that an archive recorded, if they are such as there can be.
pub(crate) fn of_value(value: &Value) -> Option<ChunkerParams> {
    let (name, numbers) = numbers(value);
    let number = |place: usize| match numbers.get(place) {
        Some(Value::Int(number)) => u32::try_from(*number).ok(),
        _ => None,
    };
    match name {
        b"buzhash" => ChunkerParams::buzhash(number(0)?, number(1)?, number(2)?, number(3)?).ok(),
        b"fixed" => ChunkerParams::fixed(number(0)?, number(1).unwrap_or(0)).ok(),
        _ => None,
    }
}

/// Returns whether a file was cut by a plan: the rule that cuts other files makes no chunk below `shortest` bytes but where
/// the file ends, and here is one.
pub(crate) fn are_by_plan(chunks: &[ChunkRef], shortest: u32) -> bool {
    chunks.split_last().is_some_and(|(_, before)| before.iter().any(|chunk| chunk.size < shortest))
}

/// The algorithm and its numbers.
fn numbers(params: &Value) -> (&[u8], &[Value]) {
    match params {
        Value::Array(list) => match list.split_first() {
            Some((Value::Raw(name), numbers)) => (name, numbers),
            _ => (b"buzhash", list),
        },
        _ => (b"", &[]),
    }
}

#[cfg(test)]
mod tests {
    use worldkeeper_core::ChunkId;

    use super::*;

    #[test]
    fn a_short_chunk_tells_of_a_plan_unless_it_is_the_last() {
        for (sizes, is_by_plan) in [
            (&[][..], false),
            (&[1], false),
            (&[1000, 1], false),
            (&[1000, 1000, 5000, 999], false),
            (&[999, 1], true),
            (&[1000, 999, 1000], true),
        ] {
            let chunks = sizes.iter().map(|size| ChunkRef { id: ChunkId([0; 32]), size: *size, csize: 1 });
            assert_eq!(are_by_plan(&chunks.collect::<Vec<_>>(), 1000), is_by_plan, "{sizes:?}");
        }
    }

    #[test]
    fn old_archives_say_the_same_in_fewer_words() {
        let old = Value::Array([19, 23, 21, 4095].map(Value::Int).to_vec());
        assert!(are_equal(&old, &to_value(&ChunkerParams::DEFAULT)));
        assert!(!are_equal(&old, &to_value(&ChunkerParams::ITEMS)));
        assert!(!are_equal(&old, &to_value(&ChunkerParams::fixed(4096, 0).unwrap())));
    }

    #[test]
    fn what_was_recorded_is_understood() {
        for params in [ChunkerParams::DEFAULT, ChunkerParams::ITEMS, ChunkerParams::fixed(4096, 512).unwrap()] {
            assert_eq!(of_value(&to_value(&params)), Some(params));
        }
        assert_eq!(of_value(&Value::Array([19, 23, 21, 4095].map(Value::Int).to_vec())), Some(ChunkerParams::DEFAULT));
        for odd in [Value::Nil, Value::Array(vec![]), Value::Array([19, 23, -1, 4095].map(Value::Int).to_vec())] {
            assert_eq!(of_value(&odd), None, "{odd:?}");
        }
    }
}
