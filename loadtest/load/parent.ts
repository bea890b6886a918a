/** Sends a message from a forked process to its parent. */
export function tellParent(message: unknown): void {
  process.send?.(message);
}

/** Sends the last message and exits once it is sent. */
export function tellParentAndExit(message: unknown, code = 0): void {
  if (process.send === undefined) process.exit(code);
  process.send(message, () => process.exit(code));
}
