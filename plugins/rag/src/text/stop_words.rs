//! Words that questions have and answers do not need.
//!
//! They stay in the index, so that a text can be found by them when a question has nothing else;
//! they are only left out of questions.

/// Whether a lower-case word says nothing about what a question is about.
pub(crate) fn is_stop_word(word: &str) -> bool {
    ENGLISH.binary_search(&word).is_ok() || CHINESE.contains(&word)
}

/// Sorted, for the binary search.
const ENGLISH: [&str; 75] = [
    "a", "about", "an", "and", "any", "are", "as", "at", "be", "been", "but", "by", "can", "could",
    "describe", "did", "do", "does", "explain", "for", "from", "had", "has", "have", "he", "how",
    "i", "if", "in", "into", "is", "it", "it's", "its", "me", "my", "no", "not", "of", "on", "or",
    "our", "she", "should", "so", "some", "such", "tell", "than", "that", "the", "their", "them",
    "then", "there", "these", "they", "this", "to", "was", "we", "were", "what", "what's", "when",
    "where", "which", "who", "whom", "whose", "why", "will", "with", "would", "you",
];

const CHINESE: [&str; 46] = [
    "的",
    "了",
    "是",
    "在",
    "和",
    "与",
    "及",
    "或",
    "吗",
    "呢",
    "吧",
    "啊",
    "也",
    "都",
    "就",
    "被",
    "把",
    "之",
    "这",
    "那",
    "有",
    "为",
    "以",
    "于",
    "从",
    "对",
    "由",
    "请",
    "什么",
    "怎么",
    "怎样",
    "如何",
    "哪",
    "哪个",
    "哪些",
    "哪里",
    "哪种",
    "谁",
    "为什么",
    "多少",
    "几",
    "何时",
    "一个",
    "一种",
    "我",
    "你",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_english_list_is_sorted() {
        assert!(ENGLISH.is_sorted());
        assert!(is_stop_word("what") && is_stop_word("什么") && !is_stop_word("water"));
    }
}
