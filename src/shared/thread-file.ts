/**
 * Returns the URL of a file that runs in a thread or process of its own. `name` has no extension, because the compiler
 * rewrites only imports. `from` is the caller's `import.meta.url`: a `.ts` file starts `.ts` files, a `.js` file `.js`.
 */
export function threadFile(from: string, name: string): URL {
  const ending = from.slice(from.lastIndexOf('.'));
  return new URL(`${name}${ending}`, from);
}
