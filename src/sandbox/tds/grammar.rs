//! The closed grammar of what the extractor asks. Everything else is a syntax error, never an empty result.

use super::{
    ast::{Expression, Filter, Item, Operator, Order, Select, Statement},
    error::SqlError,
    lexer::{Token, tokens},
    types::SqlType,
};

type Result<T> = std::result::Result<T, SqlError>;

/// Parses one batch: statements separated by semicolons.
pub(crate) fn parse(sql: &str) -> Result<Vec<Statement>> {
    let mut parser = Parser { tokens: tokens(sql)?, at: 0, depth: 0 };
    let mut statements = Vec::new();
    loop {
        while parser.symbol(";") {}
        if parser.peek().is_none() {
            break;
        }
        statements.push(parser.statement()?);
        if parser.peek().is_some() && !parser.symbol(";") {
            return Err(parser.unexpected());
        }
    }
    if statements.is_empty() { Err(SqlError::syntax("")) } else { Ok(statements) }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: u8,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn unexpected(&self) -> SqlError {
        // At the end a real server names the last token it saw.
        let near = self.peek().or(self.tokens.last()).map(Token::text).unwrap_or_default();
        SqlError::syntax(near)
    }

    fn symbol(&mut self, symbol: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Symbol(s)) if *s == symbol);
        self.at += usize::from(found);
        found
    }

    fn word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Word(w)) if w.eq_ignore_ascii_case(word));
        self.at += usize::from(found);
        found
    }

    fn expect_symbol(&mut self, symbol: &str) -> Result<()> {
        if self.symbol(symbol) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn expect_word(&mut self, word: &str) -> Result<()> {
        if self.word(word) { Ok(()) } else { Err(self.unexpected()) }
    }

    /// Only bracketed names: our own SQL quotes every one, so a bare word is a mistake.
    fn name(&mut self) -> Result<String> {
        match self.peek() {
            Some(Token::Quoted(name)) => {
                let name = name.clone();
                self.at += 1;
                Ok(name)
            }
            _ => Err(self.unexpected()),
        }
    }

    fn number(&mut self) -> Result<u64> {
        match self.peek() {
            Some(Token::Number(number)) => {
                let number = *number;
                self.at += 1;
                Ok(number)
            }
            _ => Err(self.unexpected()),
        }
    }

    fn statement(&mut self) -> Result<Statement> {
        if self.word("SET") {
            if self.word("LOCK_TIMEOUT") {
                // -1 means to wait for ever.
                self.symbol("-");
                self.number()?;
            } else {
                self.expect_word("DEADLOCK_PRIORITY")?;
                if !self.word("LOW") && !self.word("NORMAL") && !self.word("HIGH") {
                    return Err(self.unexpected());
                }
            }
            return Ok(Statement::Set);
        }
        self.expect_word("SELECT")?;
        match self.peek() {
            Some(Token::Number(1)) => {
                self.at += 1;
                Ok(Statement::SelectOne)
            }
            Some(Token::Variable(v)) if v.eq_ignore_ascii_case("@@VERSION") => {
                self.at += 1;
                Ok(Statement::SelectVersion)
            }
            _ => self.select().map(Statement::Select),
        }
    }

    fn select(&mut self) -> Result<Select> {
        let mut top = None;
        if self.word("TOP") {
            self.expect_symbol("(")?;
            top = Some(self.number()?);
            self.expect_symbol(")")?;
        }
        let mut items = vec![self.item()?];
        while self.symbol(",") {
            items.push(self.item()?);
        }
        self.expect_word("FROM")?;
        let schema = self.name()?;
        self.expect_symbol(".")?;
        let table = self.name()?;
        let filter = if self.word("WHERE") { Some(self.any()?) } else { None };
        let mut order = Vec::new();
        if self.word("ORDER") {
            self.expect_word("BY")?;
            loop {
                let column = self.name()?;
                let descending = !self.word("ASC") && self.word("DESC");
                order.push(Order { column, descending });
                if !self.symbol(",") {
                    break;
                }
            }
        }
        Ok(Select { top, items, schema, table, filter, order })
    }

    fn item(&mut self) -> Result<Item> {
        let expression = if self.word("CAST") {
            self.expect_symbol("(")?;
            let null = self.word("NULL");
            let column = if null { String::new() } else { self.name()? };
            let to = self.cast_target()?;
            if null { Expression::Null(to) } else { Expression::Cast { column, to } }
        } else if self.word("COUNT_BIG") {
            self.expect_symbol("(")?;
            self.expect_symbol("*")?;
            self.expect_symbol(")")?;
            Expression::Count
        } else if self.word("SUM") {
            self.expect_symbol("(")?;
            self.expect_word("CAST")?;
            self.expect_symbol("(")?;
            let column = self.name()?;
            let SqlType::Decimal { precision, scale } = self.cast_target()? else {
                return Err(self.unexpected());
            };
            self.expect_symbol(")")?;
            Expression::Sum { column, precision, scale }
        } else {
            let column = self.name()?;
            let name = if self.word("AS") { self.name()? } else { column.clone() };
            return Ok(Item { expression: Expression::Column(column), name });
        };
        self.expect_word("AS")?;
        Ok(Item { expression, name: self.name()? })
    }

    /// ` AS type)`, the rest of a CAST.
    fn cast_target(&mut self) -> Result<SqlType> {
        self.expect_word("AS")?;
        let to = self.sql_type()?;
        self.expect_symbol(")")?;
        Ok(to)
    }

    fn sql_type(&mut self) -> Result<SqlType> {
        for (word, plain) in [
            ("int", SqlType::Int),
            ("bigint", SqlType::BigInt),
            ("smallint", SqlType::SmallInt),
            ("bit", SqlType::Bit),
            ("date", SqlType::Date),
            ("float", SqlType::Float),
        ] {
            if self.word(word) {
                return Ok(plain);
            }
        }
        if self.word("datetime2") {
            return Ok(SqlType::DateTime2(self.argument(0..=7)? as u8));
        }
        if self.word("nvarchar") {
            return Ok(match self.length(4000)? {
                Some(length) => SqlType::NVarChar(length),
                None => SqlType::NVarCharMax,
            });
        }
        if self.word("varchar") {
            return Ok(match self.length(8000)? {
                Some(length) => SqlType::VarChar(length),
                None => SqlType::VarCharMax,
            });
        }
        self.expect_word("decimal")?;
        self.expect_symbol("(")?;
        let precision = self.within(1..=38)? as u8;
        self.expect_symbol(",")?;
        let scale = self.within(0..=u64::from(precision))? as u8;
        self.expect_symbol(")")?;
        Ok(SqlType::Decimal { precision, scale })
    }

    fn within(&mut self, range: std::ops::RangeInclusive<u64>) -> Result<u64> {
        let number = self.number()?;
        if range.contains(&number) {
            Ok(number)
        } else {
            Err(SqlError::new(2724, 1, 15, format!("Parameter or variable has an invalid data type: size {number}.")))
        }
    }

    fn argument(&mut self, range: std::ops::RangeInclusive<u64>) -> Result<u64> {
        self.expect_symbol("(")?;
        let number = self.within(range)?;
        self.expect_symbol(")")?;
        Ok(number)
    }

    /// `(n)` or `(max)`.
    fn length(&mut self, most: u64) -> Result<Option<u16>> {
        self.expect_symbol("(")?;
        let length = if self.word("max") { None } else { Some(self.within(1..=most)? as u16) };
        self.expect_symbol(")")?;
        Ok(length)
    }

    fn any(&mut self) -> Result<Filter> {
        let mut parts = vec![self.all()?];
        while self.word("OR") {
            parts.push(self.all()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Filter::Any(parts) })
    }

    fn all(&mut self) -> Result<Filter> {
        let mut parts = vec![self.condition()?];
        while self.word("AND") {
            parts.push(self.condition()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Filter::All(parts) })
    }

    fn condition(&mut self) -> Result<Filter> {
        if self.symbol("(") {
            // Recursion on what a client sends has to end.
            self.depth += 1;
            if self.depth > 50 {
                return Err(SqlError::new(191, 1, 15, "Some part of your SQL statement is nested too deeply."));
            }
            let inner = self.any()?;
            self.expect_symbol(")")?;
            self.depth -= 1;
            return Ok(inner);
        }
        let (column, cast) = if self.word("CAST") {
            self.expect_symbol("(")?;
            let column = self.name()?;
            (column, Some(self.cast_target()?))
        } else {
            (self.name()?, None)
        };
        if cast.is_none() && self.word("IS") {
            let negated = self.word("NOT");
            self.expect_word("NULL")?;
            return Ok(Filter::IsNull { column, negated });
        }
        let operators = [
            ("=", Operator::Equal),
            ("<>", Operator::NotEqual),
            ("<=", Operator::LessOrEqual),
            (">=", Operator::GreaterOrEqual),
            ("<", Operator::Less),
            (">", Operator::Greater),
        ];
        let Some((_, operator)) = operators.into_iter().find(|(symbol, _)| self.symbol(symbol)) else {
            return Err(self.unexpected());
        };
        match self.peek().cloned() {
            Some(Token::Variable(parameter)) if !parameter.starts_with("@@") => {
                self.at += 1;
                Ok(Filter::Compare { column, cast, operator, parameter })
            }
            _ => Err(self.unexpected()),
        }
    }
}
