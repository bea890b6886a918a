/** Copies a Latin-1 text that is to be kept: a slice would keep the whole text that it was cut from. */
export function ownCopy(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1');
}
