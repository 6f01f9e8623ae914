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

/// Before a surname.
const TITLES: [&str; 4] = ["Mr", "Mrs", "Ms", "Dr"];

/// Behind the name of somebody who counsels or cares.
const PROFESSIONS: &str = "PhD PsyD LICSW LCSW LMFT LPCC LPC LADC LMHC MSW MD RN APRN";

/// Whether the words hold the name of a person.
pub(super) fn is_name(tokens: &[Token<'_>]) -> bool {
    is_whole_name(tokens) || holds_full_name(tokens) || holds_title(tokens) || holds_profession(tokens)
}

/// The whole text is a name, however it is spelt: a given name, alone, with a surname or with initials, and either
/// may come first when a comma says so.
fn is_whole_name(tokens: &[Token<'_>]) -> bool {
    let spaced = tokens.iter().skip(1).all(|token| matches!(token.before, " " | ". "));
    match tokens {
        [only] => is_given(only),
        [given, last] if spaced && given.is_word() => is_given(given) && (is_initial(last) || is_surname(last)),
        [given, initial, last] if spaced => {
            is_given(given) && (is_initial(initial) || is_given(initial)) && is_surname(last)
        }
        [surname, given, rest @ ..] if given.before == ", " && rest.iter().all(|token| is_initial(token)) => {
            is_surname(surname) && is_given(given)
        }
        _ => false,
    }
}

/// A given name and a surname in the middle of other words, both with capitals.
fn holds_full_name(tokens: &[Token<'_>]) -> bool {
    let pair = |given: &Token<'_>, last: &Token<'_>| {
        given.is_capitalised() && is_given(given) && last.is_capitalised() && is_surname(last)
    };
    tokens.windows(2).any(|two| two[1].before == " " && pair(&two[0], &two[1]))
        || tokens.windows(3).any(|three| {
            three[1].before == " "
                && is_initial(&three[1])
                && matches!(three[2].before, " " | ". ")
                && pair(&three[0], &three[2])
        })
}

fn holds_title(tokens: &[Token<'_>]) -> bool {
    tokens.windows(2).any(|two| {
        TITLES.contains(&two[0].text)
            && matches!(two[1].before, " " | ". ")
            && two[1].is_capitalised()
            && is_surname(&two[1])
    })
}

fn holds_profession(tokens: &[Token<'_>]) -> bool {
    tokens.windows(3).any(|three| {
        let names = &three[..2];
        PROFESSIONS.split(' ').any(|letters| letters == three[2].text)
            && matches!(three[2].before, ", " | " ")
            && names[1].before == " "
            && names.iter().all(|token| token.is_capitalised() && is_surname(token))
    })
}

fn is_given(token: &Token<'_>) -> bool {
    let name = token.text.to_lowercase();
    GIVEN.split(' ').any(|given| given == name)
}

fn is_initial(token: &Token<'_>) -> bool {
    token.is_word() && token.text.chars().count() == 1
}

/// A word that may be a surname, for all that is known of it.
fn is_surname(token: &Token<'_>) -> bool {
    let name = token.text.to_lowercase();
    token.is_word() && name.chars().count() > 1 && !ORDINARY.split(' ').any(|word| word == name)
}
