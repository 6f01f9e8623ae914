//! A logged-in connection: requests in, answers out, until one side has enough.

use std::{io, time::Duration};

use anyhow::{Result, bail};
use tokio::{
    io::{ReadHalf, WriteHalf, split},
    sync::{mpsc, oneshot},
};

use super::{
    LogEntry, Shared,
    error::SqlError,
    faults::{Break, StatementFault},
    grammar::{self, Statement},
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
    /// The client cancelled; the acknowledgement is sent.
    Attention,
    Close,
    Reset,
}

type Flow = std::result::Result<(), Cut>;

struct Session<'a> {
    shared: &'a Shared,
    connection: u64,
    out: PacketWriter<WriteHalf<Stream>>,
    inbox: mpsc::Receiver<Message>,
}

/// Serves a connection whose login has been answered.
pub(crate) async fn run(
    stream: Stream,
    shared: &Shared,
    connection: u64,
    packet_size: usize,
) -> Result<()> {
    let (reader, writer) = split(stream);
    let (sender, inbox) = mpsc::channel(4);
    let (stop, stopped) = oneshot::channel();
    // Reading has a task of its own, so that a cancel is noticed while an answer is being written.
    let reading = tokio::spawn(read(reader, sender, stopped));
    let mut session = Session {
        shared,
        connection,
        out: PacketWriter::new(writer, packet_size),
        inbox,
    };
    let outcome = session.serve().await;
    drop(stop);
    // Both halves are needed back: the socket only closes when neither is left.
    let stream = reading.await?.unsplit(session.out.into_inner());
    if let Ok(Err(Cut::Reset)) = &outcome {
        // What was sent has to arrive before the reset throws away the rest.
        tokio::time::sleep(Duration::from_millis(20)).await;
        stream.tcp().set_zero_linger()?;
    }
    drop(stream);
    outcome.map(drop)
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
    async fn serve(&mut self) -> Result<Flow> {
        while let Some(message) = self.inbox.recv().await {
            let flow = match message.kind {
                kind::BATCH => match request::batch(&message.body) {
                    Ok(sql) => self.statements(&sql, &[], false).await?,
                    Err(error) => return self.give_up(&error).await,
                },
                kind::RPC => match request::call(&message.body) {
                    Ok((sql, parameters)) => self.statements(&sql, &parameters, true).await?,
                    Err(error) if error.number == 8009 => return self.give_up(&error).await,
                    Err(error) => self.fail(&error, true).await?,
                },
                kind::TRANSACTION => match self.transaction(&message.body).await? {
                    Ok(()) => Ok(()),
                    Err(error) => return self.give_up(&error).await,
                },
                // Nothing is running any more; the client still waits for its acknowledgement.
                kind::ATTENTION => self.acknowledge().await?,
                other => {
                    let error = SqlError::malformed(format!("a message of type 0x{other:02X}"));
                    return self.give_up(&error).await;
                }
            };
            match flow {
                Ok(()) | Err(Cut::Attention) => {}
                ended => return Ok(ended),
            }
        }
        Ok(Ok(()))
    }

    /// Says why and ends the connection: after a request that cannot be read nothing can be relied on.
    async fn give_up(&mut self, error: &SqlError) -> Result<Flow> {
        tokens::put_error(&mut self.out.buffer, error);
        tokens::put_done(&mut self.out.buffer, status::ERROR, 0);
        self.out.finish().await?;
        Ok(Err(Cut::Close))
    }

    async fn acknowledge(&mut self) -> Result<Flow> {
        self.shared.record(LogEntry::Attention {
            connection: self.connection,
        });
        tokens::put_done(&mut self.out.buffer, status::ATTENTION, 0);
        self.out.finish().await?;
        Ok(Err(Cut::Attention))
    }

    async fn transaction(&mut self, body: &[u8]) -> Result<std::result::Result<(), SqlError>> {
        let mut reader = Reader(body);
        let asked = match reader.skip_headers().and_then(|()| reader.u16()) {
            Ok(asked) => asked,
            Err(error) => return Ok(Err(error)),
        };
        let change = match asked {
            5 => 8,
            7 => 9,
            8 => 10,
            other => {
                return Ok(Err(SqlError::malformed(format_args!(
                    "a transaction request {other}"
                ))));
            }
        };
        tokens::put_transaction_change(&mut self.out.buffer, change, self.connection);
        tokens::put_done(&mut self.out.buffer, status::FINAL, 0);
        self.out.finish().await?;
        Ok(Ok(()))
    }

    /// Runs one batch or call.
    async fn statements(&mut self, sql: &str, parameters: &[Parameter], rpc: bool) -> Result<Flow> {
        self.shared.record(LogEntry::Statement {
            connection: self.connection,
            sql: sql.to_owned(),
            parameters: parameters.to_vec(),
        });
        let fault = self.shared.statement_fault(sql);
        match &fault {
            Some(StatementFault::Error(error)) => return self.fail(error, rpc).await,
            Some(StatementFault::Delay(time)) => {
                if let Err(cut) = self.wait(Some(*time)).await? {
                    return Ok(Err(cut));
                }
            }
            _ => {}
        }
        let statements = match grammar::parse(sql) {
            Ok(statements) => statements,
            Err(error) => return self.fail(&error, rpc).await,
        };
        let mut left = statements.len();
        for statement in &statements {
            left -= 1;
            let more = if left > 0 {
                status::MORE
            } else {
                status::FINAL
            };
            match statement {
                Statement::Set => tokens::put_statement_done(&mut self.out.buffer, rpc, more, 0),
                Statement::SelectOne => self.single(SqlType::Int, SqlValue::Int(1), rpc, more)?,
                Statement::SelectVersion => {
                    let version = "Microsoft SQL Azure (RTM) - 12.0.2000.8 (marts sandbox)";
                    self.single(SqlType::NVarChar(300), version.into(), rpc, more)?;
                }
                Statement::Select(select) => {
                    let bound = Query::bind(select, parameters, &self.shared.database());
                    let result = match bound {
                        Ok(query) => self.rows(query, fault.as_ref(), rpc, more).await?,
                        Err(error) => Ok(Err(error)),
                    };
                    match result {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => return self.fail(&error, rpc).await,
                        Err(cut) => return Ok(Err(cut)),
                    }
                }
            }
        }
        if rpc {
            tokens::put_procedure_done(&mut self.out.buffer, status::FINAL);
        }
        self.out.finish().await?;
        Ok(Ok(()))
    }

    /// Ends the running answer with an error; the connection stays usable.
    async fn fail(&mut self, error: &SqlError, rpc: bool) -> Result<Flow> {
        tokens::put_error(&mut self.out.buffer, error);
        if rpc {
            tokens::put_procedure_done(&mut self.out.buffer, status::ERROR);
        } else {
            tokens::put_done(&mut self.out.buffer, status::ERROR, 0);
        }
        self.out.finish().await?;
        Ok(Ok(()))
    }

    /// A result of one value without a name.
    fn single(&mut self, sql_type: SqlType, value: SqlValue, rpc: bool, more: u16) -> Result<()> {
        let columns = [ResultColumn {
            name: String::new(),
            sql_type,
            nullable: true,
        }];
        tokens::put_metadata(&mut self.out.buffer, &columns);
        tokens::put_row(
            &mut self.out.buffer,
            &columns,
            &[std::borrow::Cow::Owned(value)],
        )?;
        tokens::put_statement_done(&mut self.out.buffer, rpc, more | status::COUNT, 1);
        Ok(())
    }

    /// Sends a result as it is made, waiting whenever the client does not keep up.
    async fn rows(
        &mut self,
        mut query: Query,
        fault: Option<&StatementFault>,
        rpc: bool,
        more: u16,
    ) -> Result<std::result::Result<std::result::Result<(), SqlError>, Cut>> {
        let deaf = matches!(fault, Some(StatementFault::IgnoreAttention));
        let mut pending_break = match fault {
            Some(StatementFault::AfterRows(rows, what)) => Some((*rows, what)),
            _ => None,
        };
        tokens::put_metadata(&mut self.out.buffer, &query.columns);
        let mut sent = 0;
        loop {
            let mut step = Step::End;
            if pending_break.is_none_or(|(rows, _)| sent < rows) {
                let before = self.out.buffer.len();
                let buffer = &mut self.out.buffer;
                match query.step(ROWS_AT_A_TIME, |columns, values| {
                    tokens::put_row(buffer, columns, values)
                }) {
                    Ok(next) => step = next,
                    Err(error) => {
                        // Half a row must not stay before the error.
                        self.out.buffer.truncate(before);
                        return Ok(Ok(Err(error)));
                    }
                }
            }
            match step {
                Step::Row => {
                    sent += 1;
                    if self.out.is_large() {
                        self.out.spill().await?;
                        if !deaf && let Err(cut) = self.look_for_attention().await? {
                            return Ok(Err(cut));
                        }
                    }
                }
                Step::Later => {
                    tokio::task::yield_now().await;
                    if !deaf && let Err(cut) = self.look_for_attention().await? {
                        return Ok(Err(cut));
                    }
                }
                Step::End => match pending_break.take() {
                    Some((_, Break::Error(error))) => return Ok(Ok(Err(error.clone()))),
                    Some((_, what)) => {
                        self.out.push().await?;
                        if let Err(cut) = self.interrupt(what).await? {
                            return Ok(Err(cut));
                        }
                    }
                    None => break,
                },
            }
        }
        tokens::put_statement_done(&mut self.out.buffer, rpc, more | status::COUNT, sent);
        Ok(Ok(Ok(())))
    }

    async fn interrupt(&mut self, what: &Break) -> Result<Flow> {
        match what {
            Break::Close => Ok(Err(Cut::Close)),
            Break::Reset => Ok(Err(Cut::Reset)),
            Break::Stall(time) => self.wait(Some(*time)).await,
            Break::StallUntilAttention => self.wait(None).await,
            Break::Error(error) => bail!(error.clone()),
        }
    }

    /// Waits this long, or for ever, unless the client cancels or leaves.
    async fn wait(&mut self, time: Option<Duration>) -> Result<Flow> {
        let message = match time {
            Some(time) => match tokio::time::timeout(time, self.inbox.recv()).await {
                Ok(message) => message,
                Err(_) => return Ok(Ok(())),
            },
            None => self.inbox.recv().await,
        };
        self.interrupted_by(message).await
    }

    async fn look_for_attention(&mut self) -> Result<Flow> {
        match self.inbox.try_recv() {
            Err(mpsc::error::TryRecvError::Empty) => Ok(Ok(())),
            Err(mpsc::error::TryRecvError::Disconnected) => self.interrupted_by(None).await,
            Ok(message) => self.interrupted_by(Some(message)).await,
        }
    }

    async fn interrupted_by(&mut self, message: Option<Message>) -> Result<Flow> {
        match message {
            Some(Message {
                kind: kind::ATTENTION,
                ..
            }) => self.acknowledge().await,
            Some(Message { kind, .. }) => {
                bail!("message of type 0x{kind:02X} while an answer is on its way")
            }
            None => Err(io::Error::from(io::ErrorKind::ConnectionAborted).into()),
        }
    }
}
