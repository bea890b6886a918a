/** Files that hold secrets: every key of config.yml that ends in `_file`. One rule for all of them. */
import fs from 'node:fs';

const secretBytesMax = 64 * 1024;
/** Others than the owner and its group. */
const othersMask = 0o007;
const credentials = '$CREDENTIALS_DIRECTORY/';

/** Returns the path of a credential of the unit (`LoadCredential=`), or the path as it is. */
export function secretPath(file: string, env: Readonly<Record<string, string | undefined>> = process.env): string {
  const directory = env['CREDENTIALS_DIRECTORY'];
  if (!file.startsWith(credentials) || directory === undefined) return file;
  return `${directory}/${file.slice(credentials.length)}`;
}

/** Reads a secret, without the newline at its end. @throws Error whose message does not name the file */
export function readSecretFile(file: string): string {
  const path = secretPath(file);
  const stat = fs.statSync(path);
  if (!stat.isFile()) throw new Error('it is not a file');
  if ((stat.mode & othersMask) !== 0) throw new Error('others may read it; expected mode 0600 or 0640');
  if (stat.size > secretBytesMax) throw new Error(`it has ${stat.size} bytes; expected at most ${secretBytesMax}`);
  return fs.readFileSync(path, 'utf8').replace(/\r?\n$/, '');
}
