/**
 * A file that runs by itself, in a thread or a process: named without its ending, because the compiler rewrites only
 * what is imported. `from` is the caller's own `import.meta.url`: a `.ts` file starts `.ts` files, a `.js` file `.js`.
 */
export function threadFile(from: string, name: string): URL {
  const ending = from.slice(from.lastIndexOf('.'));
  return new URL(`${name}${ending}`, from);
}
