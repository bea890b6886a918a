/**
 * Ends the process with a code at once, whatever its threads are doing.
 *
 * `process.exit` ends every thread first and waits for it. After a failure that may take forever: one thread of the
 * store may wait for a lock that a dead thread holds, and a failed disk may not answer. A process that must go down and
 * stays is worse than either, because no supervisor restarts it. And a thread that is ended while LMDB opens the store ends
 * the process with SIGABRT and a stack, whatever the code was to be. So replace the process image with a shell that only
 * exits with the code; `execve` ends all threads.
 */
export function exitNow(code: number): never {
  process.execve?.('/bin/sh', ['sh', '-c', `exit ${code}`], {});
  return process.exit(code);
}
