/** Limits of tasks, and of the dispatcher that runs them. */

/** JSON of what a task sends. */
export const taskBodyBytesMax = 256 * 1024;
export const cronCharsMax = 256;
/** Tasks with cron patterns in one request: to find the first instant of each takes up to a millisecond or two. */
export const cronTasksMax = 16;
/** The same in one body of an import, which only reads them: half a millisecond each. */
export const cronLinesMax = 64;
export const everyMsMin = 1000;
export const taskRetryMax = 100;
export const taskRetryMsMax = 24 * 60 * 60 * 1000;
/** How long a task that has ended is remembered: it cannot be made again meanwhile. */
export const taskDoneMs = 60 * 60 * 1000;
/** How long a dead task can be looked at, and tried again. */
export const taskDeadMs = 14 * 24 * 60 * 60 * 1000;
/** Bytes of what is kept of an error. */
export const taskErrorBytesMax = 1024;
/** Tasks that a shard tells the dispatcher at once. */
export const dueTasksMax = 256;
/** Bytes of due tasks that the dispatcher has in memory, of all accounts and of one. */
export const dueBytesMax = 64 * 1024 * 1024;
export const accountDueBytesMax = 12 * 1024 * 1024;
export const dueMax = 40_000;
/** Bytes of due tasks in one message from a shard. */
export const duePageBytesMax = 1024 * 1024;
/** Tasks of one account that stand in line in the dispatcher, and at most half of what is left; others are put off. */
export const accountDueMax = 10_000;
export const taskPutOffMs = 60 * 1000;
/** Runs at once, of all accounts and of one. */
export const taskRunsMax = 256;
export const accountTaskRunsMax = 32;
/** Of them, runs that call scripts: of one account few have a thread at once. */
export const taskCallsMax = 64;
export const accountTaskCallsMax = 8;
/** Instants of one gap that Misfire "all" makes up for. */
export const madeUpMax = 1000;
/** Instants of one gap that a cron pattern counts: to find each takes a tenth of a millisecond, or more. */
export const missedCountMax = 100;
/** Misfire "skip" passes over what is later than this. */
export const misfireGraceMs = 60 * 1000;
/** Of the URL of a target. */
export const taskUrlBytesMax = 2048;
export const taskHeadersMax = 32;
export const taskHeaderBytesMax = 8 * 1024;
/** How long a run may take. */
export const taskDeadlineMsMin = 1000;
export const taskDeadlineMsMax = 1_800_000;
export const taskDeadlineMs = 30_000;
/** Bytes of an answer that are read, and kept. */
export const answerReadBytesMax = 64 * 1024;
export const answerKeptBytesMax = 1024;
/** An answer may ask for no longer delay. */
export const retryAfterMsMax = 60 * 60 * 1000;
/** How long the secret before the last rotation still signs. */
export const oldSecretMs = 24 * 60 * 60 * 1000;
/** No connection to a target lives longer. */
export const targetConnectionMs = 60 * 1000;
export const flowKeyBytesMax = 256;
export const flowRateMax = 1_000_000;
export const flowPerMsMax = 24 * 60 * 60 * 1000;
export const flowParallelMax = 256;
/** How often a flow that is paused is looked at, while tasks stand in its line. */
export const pausedFlowMs = 1000;
