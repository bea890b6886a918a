/** From a forked process to the one that forked it. */
export function tellParent(message: unknown): void {
  process.send?.(message);
}

/** The last message: the process ends when it is out. */
export function tellParentAndExit(message: unknown, code = 0): void {
  if (process.send === undefined) process.exit(code);
  process.send(message, () => process.exit(code));
}
