//! Seeded bugs. A checker that catches no mutant is not a checker.
//!
//! Each is a mistake somebody could make in the code beside a state machine, or in one of its rules, and lives where the simulation
//! calls it. None touches production code.

use clap::ValueEnum;

/// A bug to be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub enum Mutant {
    /// Settlement takes a batch without looking at the cursor.
    SkipCursorCheck,
    /// Settlement takes a batch that follows a gap.
    AcceptGap,
    /// A batch is acknowledged although its transaction was aborted.
    AckBeforeCommit,
    /// A number asked again gets another grant.
    GrantWithoutDedupe,
    /// Leases of a lost relay go back when they expire, without being in doubt.
    ReleaseAtExpiry,
    /// Sequences are handed out before the commit, as an auto-increment does.
    SeqByAutoIncrement,
    /// An earlier life of a relay still gets money.
    AcceptOldEpoch,
    /// What is left of a lease is forgotten when it closes.
    ForgetRemainder,
    /// A charge on a lease that is over is not taken from the balance.
    ForgetLateCharge,
    /// Charges of leases in doubt are taken from what is leased.
    ChargeDoubtFromLeased,
    /// What a relay gives back is taken as an addition, not as a total.
    ReturnNotCumulative,
    /// A need that cannot be paid at once is refused without a recall.
    ExhaustedWithoutRecall,
    /// The answer to a recall is taken for all relays.
    OneAnswerIsEnough,
    /// A relay's answer to a recall covers leases it has not got yet.
    RecallCoversUnlisted,
    /// The verdict "exhausted" outlives a credit.
    VerdictOutlivesCredit,
    /// What was given back after an earlier recall counts as the answer to a later one.
    OldRecallIsEnough,
    /// Who waits for a recall waits until all have answered, however long that takes.
    WaitsForEver,
    /// The end of a life closes no leases.
    EndKeepsLeases,
    /// A life ends although records of it are missing.
    EndBeforeRecords,
    /// The end of a life whose relay lost a part of its log closes its leases all the same.
    DamagedEndCloses,
    /// A restored database goes on in the old history.
    RestoreKeepsLineage,
    /// A database that went back is noticed only while it is behind.
    StampIgnored,
    /// That reports were settled further proves nothing.
    SettledFurtherIgnored,
    /// The log of changes is read from one line too far on.
    TailSkipsOne,
    /// Lines that the log does not have any more are taken for none.
    TrimmedLogTaken,
    /// A greeting does not name leases that are closed.
    ClosedUnnamed,
    /// A database that is away is told as "exhausted".
    AwayIsExhausted,
    /// A relay keeps reserving from leases that are over.
    ReserveAfterExpiry,
    /// The clock of leases stands still while the machine sleeps.
    ClockSleeps,
    /// The life of a lease counts from when it came.
    LifeFromReceipt,
    /// A relay's closing of a lease overtakes the charges.
    CloseBeforeFinal,
    /// A cut-off request is reported by recovery, and by the next life again.
    OrphanChargedTwice,
    /// A request that ended writes its final record twice.
    DoubleFinal,
    /// Nothing is written before a request is sent upstream.
    NoIntent,
    /// Progress is not written.
    NoProgress,
    /// Syncs do nothing and say they did.
    SyncDoesNothing,
    /// Going back to where the control plane asks leaves one record out.
    ResendDropsOne,
    /// An earlier life is taken for settled when its end was told, before that is answered.
    EndedWhenTold,
    /// A batch is taken for settled when it was said.
    SettledWhenSaid,
    /// An answer is taken for one to what was said last, on whichever stream it comes.
    AnyStreamAnswers,
    /// That settled records are asked for again is taken for a mistake.
    AskedAgainIgnored,
    /// An answer that is older than what was applied brings an identity back.
    CacheOlderRev,
    /// Revocations on the urgent lane are ignored.
    DenyIgnored,
    /// A delta is applied wherever it starts.
    ApplyDeltaWithGap,
    /// A snapshot of an earlier version replaces a later one.
    SnapshotGoesBack,
    /// What was given back can still be reserved.
    KeepsWhatItReturned,
    /// "Cannot be said now" is told as "exhausted".
    UnavailableIsExhausted,
    /// The verdict of a relay never ends.
    VerdictNeverEnds,
    /// A relay takes no notice that its leases are void.
    VoidIgnored,
    /// What is set aside for a request under way is not noted on the disk.
    HoldNotNoted,
    /// Money set aside for a request that failed stays set aside.
    ReservationLeaks,
    /// A new life goes on with leases as if nothing had been charged to them.
    InheritWhole,
    /// A new life goes on with leases that are over.
    InheritExpired,
    /// The heir of an heir goes on with what the first one found.
    InheritTwice,
    /// What goes back is said before it is noted on the disk.
    ReturnNotNoted,
    /// A new life does not tell which leases it goes on with.
    HeirUnlisted,
}
