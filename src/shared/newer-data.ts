/**
 * A newer server has written what this one does not know. The message says all: what it is, and what to do. Nothing is
 * damaged, and whoever throws this has changed nothing.
 */
export class NewerData extends Error {
  override name: string = 'NewerData';
}

/** Threads lose the class of an error on the way to the main thread, and keep its name. */
export function isNewerData(error: unknown): boolean {
  return error instanceof NewerData || (error instanceof Error && error.name === 'NewerData');
}
