//! Determines the natural language of the prose in a prompt. An example only counts as a test if the words around
//! it are understood: English, or just a label such as `Beispiel:`. Of other languages, only words are known with
//! which a heading or sentence clearly denies what it refers to.

use std::collections::HashSet;
use std::sync::LazyLock;

use super::wording::each;

/// What is known about the words of a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SentenceLanguage {
    /// There are no words, or only labels such as `Example:` or `Beispiel:`.
    Nothing,
    English,
    /// Another language, or words that do not identify one.
    Unknown,
}

/// Words of English prose that are common neither in other languages nor in programs (as `test` and `string`
/// are). One of them identifies a sentence as English.
const ENGLISH: &str = "about, above, accepts, after, all, also, always, and, another, answer, any, are, because, become, \
    becomes, been, before, being, below, between, both, but, by, call, called, calls, change, changes, \
    character, characters, contains, correct, counts, create, currently, define, different, digit, \
    digits, does, done, each, edge, either, empty, ensure, equal, equals, even, every, example, \
    examples, expect, expected, expects, fewer, first, fix, followed, following, for, from, get, gets, \
    given, gives, got, greater, handle, handles, has, have, hence, here, how, if, implement, instead, \
    into, is, it, its, just, keep, keeps, large, larger, last, least, length, less, letter, letters, \
    like, longer, make, means, missing, more, most, must, named, names, need, needs, never, new, next, \
    not, now, number, numbers, odd, of, one, only, other, otherwise, our, out, over, passes, prints, \
    produces, provide, raises, repeated, result, results, return, returned, returning, returns, right, \
    same, second, see, shorter, should, shown, shows, since, small, smaller, some, sorted, space, \
    spaces, such, take, takes, than, that, the, their, them, then, there, these, they, third, this, \
    those, three, to, too, two, twice, unchanged, use, uses, using, value, values, very, we, when, \
    where, whether, which, while, whole, with, without, word, words, works, would, write, yields, you, \
    your";

/// Words of other languages that do not occur in English. One of them identifies a sentence as not English.
const FOREIGN: &str = "aber, agora, ahora, au, auf, aux, avec, beim, bir, bu, ce, ces, cette, che, cual, dans, das, dass, \
    dat, dello, dem, der, derzeit, dit, een, ein, eine, einen, einer, el, ergibt, es, est, esta, este, \
    está, et, für, gibt, het, ich, ist, jetzt, je, kann, las, les, liefert, los, maar, momentan, muss, \
    nicht, niet, och, oder, olarak, ou, para, pero, por, pour, que, questo, qui, sich, sollte, sono, \
    sur, sus, toch, uma, und, une, voor, werden, wie, wird, ya, zu, zur, è, é";

/// Labels of examples and words of programs in many languages, which deny nothing.
const LABELS: &str = "beispiel, beispiele, case, cases, class, code, e.g, eg, ejemplo, ejemplos, esempi, esempio, \
    exemple, exemples, exemplo, exemplos, function, i.e, ie, input, method, output, przykład, pytest, \
    python, test, tests, testy, voorbeeld, voorbeelden, örnek, пример, примеры, тесты, テスト, 예, 예시, 例, \
    例如, 例子, 測試, 测试";

/// Parts of words with which other languages clearly say that something is wrong, past, or merely the current
/// state. Parts, because some languages have no spaces and others have endings.
const DENIALS: &str = "falsch, fehler, momentan, derzeit, aktuell, zur zeit, zurzeit, veraltet, bisher, nicht richtig, \
    nicht korrekt, nicht mehr, sollte nicht, so nicht, darf nicht, ignorier, kaputt, faux, fausse, erron, actuel, \
    pour l'instant, en ce moment, incorrect, obsol, ancien, ne doit pas, ne doivent pas, mauvais, \
    ignore, bogue, ahora mismo, actual, equivocad, está mal, están mal, no debe, antigu, viej, atual, \
    errad, está mau, não deve, sbagliat, attual, adesso, non deve, vecchi, fout, verkeerd, \
    op dit moment, momenteel, niet meer, mag niet, verouderd, yanlış, şu an, hatalı, eski, błęd, \
    obecnie, teraz, źle, nie powin, неправ, невер, ошиб, сейчас, устар, не долж, старый, старая, \
    старые, 错, 錯, 现在, 現在, 目前, 过时, 過時, 不应, 不應, 不要, 旧, 舊, 今は, 今の, 間違, 誤, バグ, 古い, 버그, 지금, 현재, 틀린, 틀렸, 잘못, \
    오래된, 하지 않, خطأ, حاليا, गलत, अभी";

/// Parts of words with which other languages say that something was fixed.
const MENDED: &str = "korrigiert, behoben, aktualisiert, verbessert, ohne fehler, corrig, correg, corrett, actualis, \
    actualiz, atualiz, aggiorn, sans erreur, sin error, gecorrigeerd, bijgewerkt, verbeterd, düzelt, \
    popraw, исправ, обновл, 修正, 更正, 修复, 修復, 수정";

/// Parts of words with which other languages offer an alternative. Words that start with `alternativ` also
/// occur in English.
const ALTERNATIVES: &str = "alternatief, alternatyw, alternatif, falls du, falls sie, wenn du lieber, wenn sie lieber, \
    oder so:, sinon, si tu préf, si vous préf, si tu veux, si vous voulez, si prefier, si quier, \
    otra opción, se prefer, se quiser, outra opção, se vuoi, als je liever, als u liever, альтернатив, \
    если вы хотите, если хотите, 或者, 如果你想, 如果您想, 另一种, 另一種, 別の方法, あるいは, 대안, 또는";

/// The words of a list as a set, because every line of a prompt is checked against it.
type Known = LazyLock<HashSet<&'static str>>;

impl SentenceLanguage {
    pub(crate) fn of(sentence: &str) -> Self {
        static KNOWN_ENGLISH: Known = LazyLock::new(|| each(ENGLISH).collect());
        static KNOWN_FOREIGN: Known = LazyLock::new(|| each(FOREIGN).collect());
        static KNOWN_LABELS: Known = LazyLock::new(|| each(LABELS).collect());
        let lower = sentence.to_lowercase();
        let words: Vec<&str> = words(&lower).collect();
        if words.iter().all(|word| KNOWN_LABELS.contains(*word)) {
            Self::Nothing
        } else if words.iter().any(|word| KNOWN_ENGLISH.contains(*word))
            && !words.iter().any(|word| KNOWN_FOREIGN.contains(*word))
        {
            Self::English
        } else {
            Self::Unknown
        }
    }
}

/// Whether a non-English sentence denies what it refers to.
pub(crate) fn denies_in_another_language(sentence: &str) -> bool {
    let lower = sentence.to_lowercase();
    SentenceLanguage::of(sentence) == SentenceLanguage::Unknown
        && each(DENIALS).any(|denial| lower.contains(denial))
}

/// Whether a sentence has a word of another language, or letters of another script.
pub(crate) fn is_in_another_language(sentence: &str) -> bool {
    static KNOWN_FOREIGN: Known = LazyLock::new(|| each(FOREIGN).collect());
    let lower = sentence.to_lowercase();
    words(&lower).any(|word| KNOWN_FOREIGN.contains(word) || word.chars().any(|c| c >= '\u{370}'))
}

/// Whether a non-English sentence says that what it refers to was fixed.
pub(crate) fn mends_in_another_language(sentence: &str) -> bool {
    let lower = sentence.to_lowercase();
    each(MENDED).any(|mended| lower.contains(mended))
}

/// Whether a non-English sentence offers an alternative.
pub(crate) fn offers_in_another_language(sentence: &str) -> bool {
    let lower = sentence.to_lowercase();
    each(ALTERNATIVES).any(|offer| lower.contains(offer))
}

/// The words of a text that are prose, without anything written as code.
fn words(text: &str) -> impl Iterator<Item = &str> {
    // Every other part stands between backticks.
    let prose = text.split('`').step_by(2);
    prose.flat_map(|part| {
        let parts: Vec<&str> = part
            .split(|c: char| c.is_whitespace() || ",;:!?/|…。、：".contains(c))
            .filter(|part| !part.is_empty())
            .collect();
        let is_named = |at: usize| parts.get(at + 1).is_some_and(|next| next.starts_with('='));
        let words = (0..parts.len())
            .filter(|&at| !is_named(at))
            .map(|at| parts[at]);
        let words = words.map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()));
        words.filter(|word| is_word(word)).collect::<Vec<_>>()
    })
}

fn is_word(word: &str) -> bool {
    // A letter alone is a name as often as a word.
    let is_short = word.is_ascii() && word.len() < 2;
    !is_short && !word.contains(|c: char| "_(=[".contains(c) || c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_understood_or_not() {
        for (sentence, spoken) in [
            ("", SentenceLanguage::Nothing),
            ("- 1) : ", SentenceLanguage::Nothing),
            ("Beispiel: ", SentenceLanguage::Nothing),
            ("例：", SentenceLanguage::Nothing),
            ("x `total` y", SentenceLanguage::Nothing),
            ("The empty list:", SentenceLanguage::English),
            ("Edge case", SentenceLanguage::English),
            ("Momentan gibt … zurück", SentenceLanguage::Unknown),
            ("Op dit moment is", SentenceLanguage::Unknown),
            ("Ahora mismo da", SentenceLanguage::Unknown),
            (
                "今は … になってしまうバグがあります",
                SentenceLanguage::Unknown,
            ),
            ("Şu anda", SentenceLanguage::Unknown),
        ] {
            assert_eq!(SentenceLanguage::of(sentence), spoken, "{sentence}");
        }
        assert!(denies_in_another_language("So sieht es momentan aus:"));
        assert!(!denies_in_another_language("Schreibe f, die Tests sind:"));
        // English, which is judged by its own words.
        assert!(!denies_in_another_language("the actual tests are these"));
    }
}
