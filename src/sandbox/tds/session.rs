//! A logged-in connection: requests in, answers out, until one side has enough.

use std::{borrow::Cow, io, time::Duration};

use anyhow::anyhow;
use tokio::{
    io::{ReadHalf, WriteHalf, split},
    sync::{mpsc, oneshot},
};

use super::{
    LogEntry, Shared, aggregate,
    ast::Statement,
    error::SqlError,
    faults::{Break, StatementFault},
    grammar,
    packet::{Message, PacketWriter, kind, read_message},
    query::{Query, Step},
    request::{self, Parameter, Reader},
    tls::Stream,
    tokens::{self, status},
    types::{ResultColumn, SqlType, SqlValue},
};

/// How many rows of a table are looked at before the connection gets a turn.
const ROWS_AT_A_TIME: u64 = 4096;

/// Why an answer ended before its end.
enum Cut {
    /// An error the client is still to be told.
    Error(SqlError),
    /// The client cancelled; the acknowledgement is sent.
    Attention,
    /// A fault closes the connection.
    Close,
    /// A fault resets the connection.
    Reset,
    /// The client is gone, or does what no client may.
    Broken(anyhow::Error),
}

impl From<SqlError> for Cut {
    fn from(error: SqlError) -> Self {
        Cut::Error(error)
    }
}

impl From<io::Error> for Cut {
    fn from(error: io::Error) -> Self {
        Cut::Broken(error.into())
    }
}

type Flow = Result<(), Cut>;

struct Session<'a> {
    shared: &'a Shared,
    connection: u64,
    out: PacketWriter<WriteHalf<Stream>>,
    inbox: mpsc::Receiver<Message>,
}

/// Serves a connection whose login has been answered.
pub(crate) async fn run(stream: Stream, shared: &Shared, connection: u64, packet_size: usize) -> anyhow::Result<()> {
    let (reader, writer) = split(stream);
    let (sender, inbox) = mpsc::channel(4);
    let (stop, stopped) = oneshot::channel();
    // Reading has a task of its own, so that a cancel is noticed while an answer is being written.
    let reading = tokio::spawn(read(reader, sender, stopped));
    let mut session = Session { shared, connection, out: PacketWriter::new(writer, packet_size), inbox };
    let end = session.serve().await;
    drop(stop);
    // Both halves are needed back: the socket only closes when neither is left.
    let stream = reading.await?.unsplit(session.out.into_inner());
    match end {
        Err(Cut::Broken(error)) => return Err(error),
        Err(Cut::Reset) => {
            // What was sent has to arrive before the reset throws away the rest.
            tokio::time::sleep(Duration::from_millis(20)).await;
            stream.tcp().set_zero_linger()?;
        }
        _ => {}
    }
    Ok(())
}

async fn read(
    mut reader: ReadHalf<Stream>,
    sender: mpsc::Sender<Message>,
    mut stopped: oneshot::Receiver<()>,
) -> ReadHalf<Stream> {
    let messages = async {
        while let Ok(message) = read_message(&mut reader).await {
            if sender.send(message).await.is_err() {
                break;
            }
        }
        // Dropped here, so that the session learns that the client is gone.
        drop(sender);
    };
    tokio::select! {
        () = messages => {}
        _ = &mut stopped => {}
    }
    reader
}

impl Session<'_> {
    async fn serve(&mut self) -> Flow {
        while let Some(message) = self.inbox.recv().await {
            let rpc = message.kind == kind::RPC;
            match self.answer(message).await {
                Ok(()) | Err(Cut::Attention) => {}
                Err(Cut::Error(error)) => self.fail(&error, rpc).await?,
                Err(cut) => return Err(cut),
            }
        }
        Ok(())
    }

    async fn answer(&mut self, message: Message) -> Flow {
        match message.kind {
            kind::BATCH => {
                let sql = request::batch(&message.body)?;
                self.statements(&sql, &[], false).await
            }
            kind::RPC => {
                let (sql, parameters) = request::call(&message.body)?;
                self.statements(&sql, &parameters, true).await
            }
            kind::TRANSACTION => self.transaction(&message.body).await,
            // Nothing is running any more; the client still waits for its acknowledgement.
            kind::ATTENTION => self.acknowledge().await,
            other => Err(SqlError::malformed(format!("a message of type 0x{other:02X}")).into()),
        }
    }

    /// Ends the running answer with an error. The connection stays usable, unless the request could not be read:
    /// nothing can be relied on then.
    async fn fail(&mut self, error: &SqlError, rpc: bool) -> Flow {
        tokens::put_error(&mut self.out.buffer, error);
        if rpc {
            tokens::put_procedure_done(&mut self.out.buffer, status::ERROR);
        } else {
            tokens::put_done(&mut self.out.buffer, status::ERROR, 0);
        }
        self.out.finish().await?;
        if error.is_malformed() { Err(Cut::Close) } else { Ok(()) }
    }

    async fn acknowledge(&mut self) -> Flow {
        self.shared.record(LogEntry::Attention { connection: self.connection });
        tokens::put_done(&mut self.out.buffer, status::ATTENTION, 0);
        self.out.finish().await?;
        Err(Cut::Attention)
    }

    /// Begin, commit and roll back are answered; there is nothing they could change.
    async fn transaction(&mut self, body: &[u8]) -> Flow {
        let mut reader = Reader(body);
        reader.skip_headers()?;
        let change = match reader.u16()? {
            5 => 8,
            7 => 9,
            8 => 10,
            other => {
                return Err(SqlError::malformed(format!("a transaction request {other}")).into());
            }
        };
        tokens::put_transaction_change(&mut self.out.buffer, change, self.connection);
        tokens::put_done(&mut self.out.buffer, status::FINAL, 0);
        Ok(self.out.finish().await?)
    }

    /// Runs one batch or call.
    async fn statements(&mut self, sql: &str, parameters: &[Parameter], rpc: bool) -> Flow {
        self.shared.record(LogEntry::Statement {
            connection: self.connection,
            sql: sql.to_owned(),
            parameters: parameters.to_vec(),
        });
        let fault = self.shared.statement_fault(sql);
        match &fault {
            Some(StatementFault::Error(error)) => return Err(error.clone().into()),
            Some(StatementFault::Delay(time)) => self.wait(Some(*time)).await?,
            _ => {}
        }
        let statements = match grammar::parse(sql) {
            Ok(statements) => statements,
            Err(_) if aggregate::is_one(sql) => {
                let table = aggregate::answer(sql, parameters, &self.shared.database())?;
                self.rows(Query::whole(table), fault.as_ref(), rpc, status::FINAL).await?;
                Vec::new()
            }
            Err(error) => return Err(error.into()),
        };
        let mut left = statements.len();
        for statement in &statements {
            left -= 1;
            let more = if left > 0 { status::MORE } else { status::FINAL };
            match statement {
                Statement::Set => tokens::put_statement_done(&mut self.out.buffer, rpc, more, 0),
                Statement::SelectOne => self.single(SqlType::Int, SqlValue::Int(1), rpc, more)?,
                Statement::SelectVersion => {
                    let version = "Microsoft SQL Azure (RTM) - 12.0.2000.8 (marts sandbox)";
                    self.single(SqlType::NVarChar(300), version.into(), rpc, more)?;
                }
                Statement::Select(select) => {
                    let query = Query::bind(select, parameters, &self.shared.database())?;
                    self.rows(query, fault.as_ref(), rpc, more).await?;
                }
            }
        }
        if rpc {
            tokens::put_procedure_done(&mut self.out.buffer, status::FINAL);
        }
        Ok(self.out.finish().await?)
    }

    /// A result of one value without a name.
    fn single(&mut self, sql_type: SqlType, value: SqlValue, rpc: bool, more: u16) -> Flow {
        let columns = [ResultColumn { name: String::new(), sql_type, nullable: true }];
        tokens::put_metadata(&mut self.out.buffer, &columns);
        tokens::put_row(&mut self.out.buffer, &columns, &[Cow::Owned(value)])?;
        tokens::put_statement_done(&mut self.out.buffer, rpc, more | status::COUNT, 1);
        Ok(())
    }

    /// Sends a result as it is made, waiting whenever the client does not keep up.
    async fn rows(&mut self, mut query: Query, fault: Option<&StatementFault>, rpc: bool, more: u16) -> Flow {
        let deaf = matches!(fault, Some(StatementFault::IgnoreAttention));
        let mut planned = match fault {
            Some(StatementFault::AfterRows(rows, what)) => Some((*rows, what)),
            _ => None,
        };
        tokens::put_metadata(&mut self.out.buffer, &query.columns);
        let mut sent = 0;
        loop {
            let step = if planned.is_some_and(|(rows, _)| sent >= rows) {
                Step::End
            } else {
                let before = self.out.buffer.len();
                let buffer = &mut self.out.buffer;
                let step = query.step(ROWS_AT_A_TIME, |columns, values| tokens::put_row(buffer, columns, values));
                // Half a row must not stay before the error.
                step.inspect_err(|_| self.out.buffer.truncate(before))?
            };
            match step {
                Step::Row => {
                    sent += 1;
                    if !self.out.is_large() {
                        continue;
                    }
                    self.out.spill().await?;
                }
                Step::Later => tokio::task::yield_now().await,
                Step::End => match planned.take() {
                    Some((_, what)) => self.interrupt(what).await?,
                    None => break,
                },
            }
            if !deaf {
                self.look_for_attention().await?;
            }
        }
        tokens::put_statement_done(&mut self.out.buffer, rpc, more | status::COUNT, sent);
        Ok(())
    }

    /// Breaks off; the rows made so far go out first.
    async fn interrupt(&mut self, what: &Break) -> Flow {
        self.out.push().await?;
        match what {
            Break::Error(error) => Err(error.clone().into()),
            Break::Close => Err(Cut::Close),
            Break::Reset => Err(Cut::Reset),
            Break::Stall(time) => self.wait(Some(*time)).await,
            Break::StallUntilAttention => self.wait(None).await,
        }
    }

    /// Waits this long, or for ever, unless the client cancels or leaves.
    async fn wait(&mut self, time: Option<Duration>) -> Flow {
        let message = match time {
            Some(time) => match tokio::time::timeout(time, self.inbox.recv()).await {
                Ok(message) => message,
                Err(_) => return Ok(()),
            },
            None => self.inbox.recv().await,
        };
        self.interrupted_by(message).await
    }

    async fn look_for_attention(&mut self) -> Flow {
        match self.inbox.try_recv() {
            Err(mpsc::error::TryRecvError::Empty) => Ok(()),
            Err(mpsc::error::TryRecvError::Disconnected) => self.interrupted_by(None).await,
            Ok(message) => self.interrupted_by(Some(message)).await,
        }
    }

    async fn interrupted_by(&mut self, message: Option<Message>) -> Flow {
        match message {
            Some(Message { kind: kind::ATTENTION, .. }) => self.acknowledge().await,
            Some(Message { kind, .. }) => {
                Err(Cut::Broken(anyhow!("message of type 0x{kind:02X} while an answer is on its way")))
            }
            None => Err(io::Error::from(io::ErrorKind::ConnectionAborted).into()),
        }
    }
}
