//! Names of persons: a given name beside a word that can be a surname, a title before one, letters of a profession
//! behind one.

use super::tokens::Token;

/// Common given names that are nothing else: no words (Grace, Will, Mark, Hope, Bill), no places (Austin, Madison,
/// Charlotte) and no months (April, June).
const GIVEN: &str = "\
aaron abigail adam ahmed aisha alan albert alejandro alexander alexis alice alicia allison amanda amy ana andrea andrew \
angela anita ann anna anne annette anthony antonio arthur ashley barbara benjamin bernadette beth betty beverly bonnie \
brandon brenda brian brianna brittany bruce bryan caitlin carl carla carlos carolyn catherine cheryl christina \
christine christopher cindy claire cody connie craig cynthia daniel danielle darlene david deborah debra denise \
dennis diana diane donald donna doris dorothy douglas dylan edith edward eileen elaine elizabeth ellen emily emma eric \
erica erik erin ethan eugene evelyn fatima frances francisco gabriel gail gary george gerald gloria gregory hannah \
harold heather heidi helen henry howard ian ingrid irene isabella ivan jacob jacqueline jaime james jamie jane janet \
janice jason javier jean jeff jeffrey jenna jennifer jeremy jerry jesse jessica jill jim joan joanne joe joel johanna \
john johnny jonathan jorge jose joseph joshua joyce juan juanita judith judy julia julian julie justin karen karl \
katherine kathleen kathryn kathy katie kayla keith kelly kenneth kevin kimberly kristen kristin kyle larry laura lauren \
lawrence leah leon leonard leslie linda lisa lois lori louise lucas luis lynn marcus margaret maria marie marilyn \
marjorie martha martin mary matthew megan melanie melissa michael michelle miguel mike mohamed mohammed monica nancy \
natalie natasha nathan nicholas nicole nina noah olga olivia oscar pamela patricia patrick paula peggy peter philip \
phillip phyllis priya rachel ralph ramon randy raymond rebecca ricardo richard rita robert roberta roger ronald \
rosa roy russell ruth ryan sally samantha samuel sandra sara sarah scott sean shannon sharon sheila shirley sofia \
sophia stanley stephanie stephen steve steven susan suzanne sylvia tamara tammy tanya teresa theodore theresa \
thomas tiffany timothy tina todd tom tony travis tyler valerie vanessa veronica vincent walter wanda wayne wendy \
william yolanda yvonne zachary";

/// Words that are no surname: what stands in labels, and what makes of a name one of a place, a firm or a method.
const ORDINARY: &str = "\
academy account act addiction administration advocacy amendment and approach appointment arbor assessment assistance \
at award based benefit benefits brief business by campaign care case cases center centre change chapter check client \
clinic clinical clinician closed coach coaching code college company complaint concern consult consultant consultation \
contact corporation counseling counselling counselor county court crisis critical day deere department disability \
disease disorder education emergency employee employer enrollment evaluation event family field financial follow for \
formal form foundation fund general grief group guidance hall hancock health help hopkins hospital hour hours house \
housing in inc incident individual initial initiative institute insurance intake intervention inventory is issue issues \
kay law leave legal letter level licensed life line llc location loss management manager mandatory marital medical \
meeting memorial mental method model network no note notes nurse of office on onsite open or order orders organization \
other pastoral peer pending phase phone physician plan planning policy prevention procedure program project protocol \
provider psychiatrist psychologist psychology referral referrals region report request resource resources retirement \
review role sales scale school schwab screening service services session sessions site skills social specialist staff \
stage standard state status step street stress support syndrome system task team technique test the therapist therapy \
tier to training treatment triage type unit university update urgent village visit visits wellbeing wellness with work \
worker workplace workshop";

/// Words before a given name that make of it the name of a place or of a storm.
const NO_SURNAMES: &str = "\
camp cape fort hurricane lake mount new port queen king prince princess saint san santa santo st storm sto villa";

/// Before a surname.
const TITLES: [&str; 4] = ["Mr", "Mrs", "Ms", "Dr"];

/// Behind the name of somebody who counsels or cares.
const PROFESSIONS: &str = "PhD PsyD LICSW LCSW LMFT LPCC LPC LADC LMHC MSW MD RN APRN";

/// Whether the words hold the name of a person.
pub(super) fn is_name(tokens: &[Token<'_>]) -> bool {
    is_whole_name(tokens) || holds_full_name(tokens) || holds_title(tokens) || holds_profession(tokens)
}

/// The whole text is a name, however it is spelt: a given name, alone, with a surname or with initials, and either
/// may come first.
fn is_whole_name(tokens: &[Token<'_>]) -> bool {
    if !tokens.iter().skip(1).all(|token| matches!(token.mark().as_str(), "" | "." | "," | "-" | "_")) {
        return false;
    }
    match tokens {
        [only] => is_given(only),
        [given, last] if is_given(given) => is_initial(last) || is_surname(last),
        [given, middle, last] if is_given(given) && (is_initial(middle) || is_given(middle)) && is_surname(last) => {
            true
        }
        [surname, given, rest @ ..] if rest.iter().all(is_initial) => {
            let said =
                given.mark() == "," || !NO_SURNAMES.split(' ').any(|word| word.eq_ignore_ascii_case(surname.text));
            said && is_surname(surname) && is_given(given)
        }
        _ => false,
    }
}

/// A given name and a surname in the middle of other words, both with capitals.
fn holds_full_name(tokens: &[Token<'_>]) -> bool {
    let pair = |given: &Token<'_>, last: &Token<'_>| {
        given.is_capitalised() && is_given(given) && last.is_capitalised() && is_surname(last)
    };
    let follows = |token: &Token<'_>| matches!(token.mark().as_str(), "" | "." | "_");
    tokens.windows(2).any(|two| follows(&two[1]) && pair(&two[0], &two[1]))
        || tokens
            .windows(3)
            .any(|three| three[1..].iter().all(follows) && is_initial(&three[1]) && pair(&three[0], &three[2]))
}

fn holds_title(tokens: &[Token<'_>]) -> bool {
    tokens.windows(2).any(|two| {
        TITLES.contains(&two[0].text)
            && matches!(two[1].mark().as_str(), "" | ".")
            && two[1].is_capitalised()
            && is_surname(&two[1])
    })
}

fn holds_profession(tokens: &[Token<'_>]) -> bool {
    tokens.windows(3).any(|three| {
        let names = &three[..2];
        PROFESSIONS.split(' ').any(|letters| letters == three[2].text)
            && matches!(three[2].mark().as_str(), "," | "")
            && names[1].mark().is_empty()
            && names.iter().all(|token| token.is_capitalised() && is_surname(token))
    })
}

fn is_given(token: &Token<'_>) -> bool {
    let name: String = token.text.to_lowercase().chars().map(unaccented).collect();
    GIVEN.split(' ').any(|given| given == name)
}

/// Accents are left out as often as not.
fn unaccented(letter: char) -> char {
    match letter {
        'à'..='å' => 'a',
        'ç' => 'c',
        'è'..='ë' => 'e',
        'ì'..='ï' => 'i',
        'ñ' => 'n',
        'ò'..='ö' => 'o',
        'ù'..='ü' => 'u',
        letter => letter,
    }
}

fn is_initial(token: &Token<'_>) -> bool {
    token.is_word() && token.text.chars().count() == 1
}

/// A word that may be a surname, for all that is known of it.
fn is_surname(token: &Token<'_>) -> bool {
    let name = token.text.to_lowercase();
    token.is_word() && name.chars().count() > 1 && !ORDINARY.split(' ').any(|word| word == name)
}
