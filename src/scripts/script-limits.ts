/** Limits of scripts that no configuration changes. */

/** What one run may note down, read, answer and log. */
export const scriptOperationsMax = 1000;
export const scriptOperationBytesMax = 8 * 1024 * 1024;
/** Keys, counters and entries of lists. */
export const scriptKeysMax = 1000;
export const scriptReadBytesMax = 4 * 1024 * 1024;
/** Reads of more keys in one call: each is a run of the script from its beginning. */
export const scriptRoundsMax = 16;
export const scriptResultBytesMax = 1024 * 1024;
export const scriptReasonBytesMax = 1024;
export const scriptLogLinesMax = 64;
export const scriptLogBytesMax = 8 * 1024;

/** What the virtual machine of a run may allocate, and its stack. */
export const scriptMemoryBytesMax = 16 * 1024 * 1024;
export const scriptStackBytesMax = 256 * 1024;
/** Compiled scripts that one thread keeps. */
export const scriptCacheBytesMax = 32 * 1024 * 1024;

/** The arguments of a call as JSON text. */
export const scriptArgsBytesMax = 256 * 1024;
/** How often a call is tried because something that it had read had changed. */
export const scriptTriesMax = 8;
/** Of one account: how many bundles of runs have a thread, and how many calls are under way besides. */
export const scriptRunsMax = 2;
export const scriptWaitingMax = 100;
/** Runs of an account that go to a thread with one message, and about how long that may be. */
export const scriptBundleRunsMax = 16;
export const scriptBundleBytesMax = 256 * 1024;
/** A thread that has been at a bundle for so long gives back what it has not begun: others wait behind it. */
export const scriptBundleCpuMsMax = 4;
/** Behind so many killed runs within a minute the scripts of an account rest. */
export const scriptKillsMax = 3;
export const scriptKillsMs = 60_000;
export const scriptRestMs = 10_000;
