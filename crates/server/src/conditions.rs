//! Conditional requests (RFC 9110, section 13): the entity tag of a response, and the `If-Match` and `If-None-Match`
//! of a request.
//!
//! Every tag in a response is strong: it ends with a digest of the body, so that any other body has another tag. The
//! tag of a task begins with its version, `"17-0123456789abcdef"`. A request may name the version alone, `"17"`,
//! because events and socket messages carry the version and no tag.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use journeyman_api::Problem;
use journeyman_event::{ContentHash, Revision};
use serde::Serialize;

use crate::problem::{Rejection, defect};

/// A response with a tag is private to its user. A cache may keep it, and must revalidate it before each use.
const CACHED: HeaderValue = HeaderValue::from_static("private, no-cache");
/// The number of hexadecimal digits of the hash in a tag: 64 bits are enough to distinguish the responses of one URL.
const DIGITS: usize = 16;

/// The entity tag of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tag {
    /// The opaque tag, without quotes.
    text: String,
    /// The task version that a request may name instead of the tag.
    version: Option<Revision>,
}

fn digest(bytes: &[u8]) -> String {
    let hash = ContentHash::of(bytes).to_string();
    let digits = hash.strip_prefix("b3:").unwrap_or(&hash);
    digits.chars().take(DIGITS).collect()
}

impl Tag {
    /// The tag of a response with this body.
    pub(crate) fn of(answer: &[u8]) -> Self {
        Self {
            text: digest(answer),
            version: None,
        }
    }

    /// The tag of a task at a version. The version alone matches it too, unless the body depends on more than the
    /// task's events.
    pub(crate) fn of_task(answer: &[u8], version: Revision, basis: AnswerBasis) -> Self {
        Self {
            text: format!("{version}-{}", digest(answer)),
            version: (basis == AnswerBasis::Events).then_some(version),
        }
    }

    /// The tag in double quotes, as in the header `ETag`.
    pub(crate) fn quoted(&self) -> String {
        format!("\"{}\"", self.text)
    }

    fn is(&self, opaque: &[u8]) -> bool {
        let is_version = |version: Revision| version.to_string().as_bytes() == opaque;
        self.text.as_bytes() == opaque || self.version.is_some_and(is_version)
    }
}

/// What the response about a task depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnswerBasis {
    /// Only the task's events: at one version the response is always the same.
    Events,
    /// Also the current state of this process, such as the queue.
    Process,
}

/// An entity tag in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
struct EntityTag {
    is_weak: bool,
    opaque: Vec<u8>,
}

/// The value of `If-Match` or `If-None-Match`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum TagList {
    /// `*`, which matches every existing resource.
    Any,
    /// A list, of which one tag must match.
    Tags(Vec<EntityTag>),
}

/// The error for a header that is neither `*` nor a list of tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Unreadable;

impl TagList {
    /// Parses all lines of a header as one list; `None` if the request does not have the header.
    fn in_headers(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Self>, Unreadable> {
        if !headers.contains_key(name) {
            return Ok(None);
        }
        let lines = headers.get_all(name).iter().map(HeaderValue::as_bytes);
        let lines: Vec<&[u8]> = lines.collect();
        let read = Self::read(&lines.join(&b","[..]));
        read.map(Some).ok_or(Unreadable)
    }

    /// Parses `*` or a comma-separated list of tags (RFC 9110, sections 8.8.3 and 5.6.1); `None` if it is neither.
    fn read(text: &[u8]) -> Option<Self> {
        if text.trim_ascii() == b"*" {
            return Some(Self::Any);
        }
        let mut tags = Vec::new();
        let mut rest = text.trim_ascii_start();
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix(b",") {
                rest = after.trim_ascii_start();
                continue;
            }
            let strong = rest.strip_prefix(b"W/");
            let is_weak = strong.is_some();
            let quoted = strong.unwrap_or(rest).strip_prefix(b"\"")?;
            let end = quoted.iter().position(|byte| *byte == b'"')?;
            let (opaque, after) = (&quoted[..end], quoted[end + 1..].trim_ascii_start());
            let is_plain =
                |byte: &u8| *byte == 0x21 || (0x23..=0x7e).contains(byte) || *byte >= 0x80;
            if !opaque.iter().all(is_plain) || !(after.is_empty() || after.starts_with(b",")) {
                return None;
            }
            tags.push(EntityTag {
                is_weak,
                opaque: opaque.to_vec(),
            });
            rest = after;
        }
        Some(Self::Tags(tags))
    }

    /// Strong comparison (RFC 9110, section 8.8.3.2): whether the list has this tag. Weak tags in the list never match.
    fn has_strongly(&self, tag: &Tag) -> bool {
        match self {
            Self::Any => true,
            Self::Tags(tags) => tags.iter().any(|one| !one.is_weak && tag.is(&one.opaque)),
        }
    }

    /// Weak comparison: whether the list has this tag, as a strong or a weak one.
    fn has_weakly(&self, tag: &Tag) -> bool {
        match self {
            Self::Any => true,
            Self::Tags(tags) => tags.iter().any(|one| tag.is(&one.opaque)),
        }
    }
}

/// The conditions of a request that reads.
#[derive(Clone, Debug)]
pub(crate) struct Conditions {
    if_match: Option<TagList>,
    if_none_match: Option<TagList>,
}

/// Parses `If-Match`. A malformed value is a problem with status 400.
fn if_match(headers: &HeaderMap) -> Result<Option<TagList>, Problem> {
    TagList::in_headers(headers, &header::IF_MATCH).map_err(|Unreadable| {
        let detail = "`If-Match` is `*`, or a comma-separated list of entity tags in double quotes, such as \
                      `\"17\"` or `\"17-0123456789abcdef\", \"18\"`";
        Problem::new(StatusCode::BAD_REQUEST, "bad-header", detail).of_field("If-Match")
    })
}

impl<S: Send + Sync> FromRequestParts<S> for Conditions {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        let none_match = TagList::in_headers(&parts.headers, &header::IF_NONE_MATCH);
        Ok(Self {
            if_match: if_match(&parts.headers)?,
            // A malformed `If-None-Match` is ignored: the response is then sent in full, which is never wrong.
            if_none_match: none_match.unwrap_or_default(),
        })
    }
}

impl Conditions {
    /// Responds with JSON, or with 304 or 412 like [`Self::answer`].
    pub(crate) fn json(&self, answer: &impl Serialize) -> Result<Response, Rejection> {
        let bytes = to_bytes(answer)?;
        let tag = Tag::of(&bytes);
        Ok(self.answer(&tag, json(bytes)))
    }

    /// Adds the tag to a response. Responds with 304 instead if `If-None-Match` has the tag, and with 412 if
    /// `If-Match` does not.
    pub(crate) fn answer(&self, tag: &Tag, response: Response) -> Response {
        if self
            .if_match
            .as_ref()
            .is_some_and(|wanted| !wanted.has_strongly(tag))
        {
            let detail = "this has another entity tag than `If-Match` names; leave the header out to get it all the same";
            let version = tag.version.map(|version| version.0);
            return Problem::other_version(detail, version, Some(tag.quoted())).into_response();
        }
        let is_known = self
            .if_none_match
            .as_ref()
            .is_some_and(|known| known.has_weakly(tag));
        let mut response = if is_known {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            response
        };
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, CACHED);
        if let Ok(tag) = HeaderValue::from_str(&tag.quoted()) {
            headers.insert(header::ETAG, tag);
        }
        response
    }
}

/// Serialises a response as JSON.
pub(crate) fn to_bytes(answer: &impl Serialize) -> Result<Vec<u8>, Rejection> {
    serde_json::to_vec(answer).map_err(|error| {
        tracing::error!(%error, "a response cannot be serialised as JSON");
        defect().into()
    })
}

/// A response with this JSON as its body.
pub(crate) fn json(bytes: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], bytes).into_response()
}

/// The `If-Match` of a request that changes something. `If-None-Match` in such a request is a problem with status 400.
#[derive(Clone, Debug)]
pub(crate) struct Precondition(Option<TagList>);

impl<S: Send + Sync> FromRequestParts<S> for Precondition {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        if parts.headers.contains_key(header::IF_NONE_MATCH) {
            let detail = "`If-None-Match` is for requests that read; name the version that the task must have with `If-Match`";
            let problem = Problem::new(StatusCode::BAD_REQUEST, "bad-header", detail);
            return Err(problem.of_field("If-None-Match").into());
        }
        if_match(&parts.headers).map(Self).map_err(Into::into)
    }
}

/// The versions of a task at which a request may change it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ExpectedVersions {
    /// Every version is accepted.
    Any,
    /// These versions, and the one whose response has one of these tags.
    Versions(Vec<u64>, Vec<String>),
}

impl Precondition {
    /// The versions named by `If-Match`, and the tags whose version must still be looked up. Weak tags are ignored.
    pub(crate) fn expected_versions(&self) -> ExpectedVersions {
        let Some(TagList::Tags(tags)) = &self.0 else {
            return ExpectedVersions::Any;
        };
        let (mut versions, mut others) = (Vec::new(), Vec::new());
        for tag in tags.iter().filter(|tag| !tag.is_weak) {
            let Ok(text) = std::str::from_utf8(&tag.opaque) else {
                continue;
            };
            match text.parse::<u64>() {
                Ok(version) if version.to_string() == text => versions.push(version),
                _ => others.push(text.to_owned()),
            }
        }
        ExpectedVersions::Versions(versions, others)
    }
}

#[cfg(test)]
mod tests {
    use journeyman_fuzz::fuzz;
    use proptest::prelude::*;

    use super::*;

    fn strong(opaque: &str) -> EntityTag {
        EntityTag {
            is_weak: false,
            opaque: opaque.as_bytes().to_vec(),
        }
    }

    fn weak(opaque: &str) -> EntityTag {
        EntityTag {
            is_weak: true,
            ..strong(opaque)
        }
    }

    #[test]
    fn a_list_of_tags_is_read_as_rfc_9110_writes_it() {
        for (text, wanted) in [
            ("*", TagList::Any),
            (" * ", TagList::Any),
            ("", TagList::Tags(vec![])),
            (" , ,", TagList::Tags(vec![])),
            ("\"\"", TagList::Tags(vec![strong("")])),
            ("\"17\"", TagList::Tags(vec![strong("17")])),
            ("\t\"17\" ", TagList::Tags(vec![strong("17")])),
            ("W/\"17\"", TagList::Tags(vec![weak("17")])),
            ("\"a,b\"", TagList::Tags(vec![strong("a,b")])),
            (
                "\"W/\",W/\"*\"",
                TagList::Tags(vec![strong("W/"), weak("*")]),
            ),
            (
                "\"1\" ,, W/\"2\",\t\"3\",",
                TagList::Tags(vec![strong("1"), weak("2"), strong("3")]),
            ),
            ("\"é\"", TagList::Tags(vec![strong("é")])),
        ] {
            assert_eq!(TagList::read(text.as_bytes()), Some(wanted), "{text}");
        }
        for bad in [
            "17",
            "\"17",
            "17\"",
            "w/\"17\"",
            "W/ \"17\"",
            "W/17",
            "\"1\" \"2\"",
            "\"1\"\"2\"",
            "*, \"1\"",
            "\"1\", *",
            "**",
            "\"a b\"",
            "\"a\u{7f}\"",
            "'17'",
            "\"1\";",
        ] {
            assert_eq!(TagList::read(bad.as_bytes()), None, "{bad}");
        }
    }

    fn any_tag() -> impl Strategy<Value = EntityTag> {
        let byte = prop_oneof![Just(0x21_u8), 0x23_u8..=0x7e, 0x80_u8..=0xff];
        let opaque = prop::collection::vec(byte, 0..6);
        (any::<bool>(), opaque).prop_map(|(is_weak, opaque)| EntityTag { is_weak, opaque })
    }

    fn written(tag: &EntityTag) -> Vec<u8> {
        let mark: &[u8] = if tag.is_weak { b"W/\"" } else { b"\"" };
        [mark, &tag.opaque, b"\""].concat()
    }

    #[test]
    fn any_list_of_tags_is_read_as_it_was_written() {
        let between = prop::sample::select(vec![",", " ,", ", ", "\t,\t", ",,", " , , "]);
        let list = prop::collection::vec((any_tag(), between), 0..6);
        fuzz(256, &list, |list| {
            let parts = list.iter();
            let parts = parts.map(|(tag, between)| [written(tag), between.as_bytes().to_vec()]);
            let text = parts.flatten().collect::<Vec<_>>().concat();
            let tags = list.into_iter().map(|(tag, _)| tag).collect();
            prop_assert_eq!(TagList::read(&text), Some(TagList::Tags(tags)));
            Ok(())
        });
    }

    #[test]
    fn what_is_read_of_any_bytes_is_the_same_when_it_is_written_and_read_again() {
        let byte = prop_oneof![
            4 => prop::sample::select(b"\"\",,W/*1 \t".to_vec()),
            1 => any::<u8>(),
        ];
        fuzz(1_024, &prop::collection::vec(byte, 0..24), |text| {
            if let Some(TagList::Tags(tags)) = TagList::read(&text) {
                let again: Vec<Vec<u8>> = tags.iter().map(written).collect();
                prop_assert_eq!(
                    TagList::read(&again.join(&b","[..])),
                    Some(TagList::Tags(tags))
                );
            }
            Ok(())
        });
    }

    #[test]
    fn several_lines_of_a_header_are_one_list() {
        let mut headers = HeaderMap::new();
        let read = |headers: &HeaderMap| TagList::in_headers(headers, &header::IF_MATCH);
        assert_eq!(read(&headers), Ok(None));
        headers.append(header::IF_MATCH, HeaderValue::from_static("\"1\""));
        headers.append(header::IF_MATCH, HeaderValue::from_static("W/\"2\", \"3\""));
        let all = TagList::Tags(vec![strong("1"), weak("2"), strong("3")]);
        assert_eq!(read(&headers), Ok(Some(all)));
        headers.append(header::IF_MATCH, HeaderValue::from_static("*"));
        assert_eq!(read(&headers), Err(Unreadable));
    }

    #[test]
    fn a_tag_is_that_of_one_answer_and_a_version_stands_for_what_events_tell_alone() {
        let version = Revision(17);
        let told = Tag::of_task(b"one", version, AnswerBasis::Events);
        assert!(told.text.starts_with("17-"), "{told:?}");
        assert_eq!(told.text.len(), "17-".len() + DIGITS);
        for (tag, opaque, is) in [
            (&told, told.text.as_str(), true),
            (&told, "17", true),
            (&told, "017", false),
            (&told, "18", false),
            (
                &told,
                &Tag::of_task(b"two", version, AnswerBasis::Events).text,
                false,
            ),
            (
                &told,
                &Tag::of_task(b"one", Revision(18), AnswerBasis::Events).text,
                false,
            ),
            (
                &Tag::of_task(b"one", version, AnswerBasis::Process),
                &told.text,
                true,
            ),
            (
                &Tag::of_task(b"one", version, AnswerBasis::Process),
                "17",
                false,
            ),
        ] {
            assert_eq!(tag.is(opaque.as_bytes()), is, "{tag:?} {opaque}");
        }
    }

    #[test]
    fn weak_tags_fit_where_one_looks_and_never_where_one_changes() {
        let tag = Tag::of(b"one");
        let is = strong(&tag.text);
        let is_weakly = weak(&tag.text);
        for (tags, strongly, weakly) in [
            (vec![], false, false),
            (vec![strong("other")], false, false),
            (vec![is.clone()], true, true),
            (vec![is_weakly.clone()], false, true),
            (vec![strong("other"), is_weakly, is], true, true),
        ] {
            let wanted = TagList::Tags(tags);
            let found = (wanted.has_strongly(&tag), wanted.has_weakly(&tag));
            assert_eq!(found, (strongly, weakly), "{wanted:?}");
        }
        assert!(TagList::Any.has_strongly(&tag) && TagList::Any.has_weakly(&tag));
    }

    #[test]
    fn what_is_meant_is_told_apart_from_tags_that_have_to_be_looked_up() {
        let meant =
            |tags: Vec<EntityTag>| Precondition(Some(TagList::Tags(tags))).expected_versions();
        assert_eq!(
            Precondition(None).expected_versions(),
            ExpectedVersions::Any
        );
        assert_eq!(
            Precondition(Some(TagList::Any)).expected_versions(),
            ExpectedVersions::Any
        );
        assert_eq!(meant(vec![]), ExpectedVersions::Versions(vec![], vec![]));
        let tags = vec![
            strong("0"),
            strong("18446744073709551615"),
            weak("5"),
            strong("017"),
            strong("-1"),
            strong("18446744073709551616"),
            strong("17-ab"),
        ];
        let others = ["017", "-1", "18446744073709551616", "17-ab"];
        let others = others.map(str::to_owned).to_vec();
        assert_eq!(
            meant(tags),
            ExpectedVersions::Versions(vec![0, u64::MAX], others)
        );
    }
}
