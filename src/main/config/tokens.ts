/** Reads tokens: those in config.yml, and those in a file of their own (`tokens_file`). */
import { hash } from 'node:crypto';
import type { ConfigFile, TokenConfig } from '../../front-end/config-schema.ts';
import { ConfigFileReader, type ConfigPath } from './config-file.ts';

/** Digits of a token's hash that are its name when it has none. */
const nameDigits = 8;
/** A shorter token may be guessed; `dragonlock doctor` says so. */
const tokenCharsGood = 20;

type Listed = NonNullable<ConfigFile['tokens']>;

export interface TokenSources {
  readonly tokens: Listed;
  /** Empty: none. */
  readonly tokensFile: string;
  /** See `readSecretFile`. */
  readonly readSecret: (file: string) => string;
}

export function readTokens({ tokens, tokensFile, readSecret }: TokenSources, file: ConfigFileReader): TokenConfig[] {
  const index = new TokensRead(readSecret);
  tokens.forEach((token, i) => index.add(token, file, ['tokens', i]));
  if (tokensFile !== '') {
    const own = new ConfigFileReader(tokensFile, 'required');
    const listed = (own.readAs('tokens', readSecret) as Listed | undefined) ?? [];
    listed.forEach((token, i) => index.add(token, own, [i]));
    for (const problem of own.problems) file.problem(problem);
  }
  return index.tokens;
}

class TokensRead {
  readonly tokens: TokenConfig[] = [];
  readonly #readSecret: (file: string) => string;
  /** Where each was met. */
  readonly #seen = new Map<string, string>();
  readonly #names = new Map<string, string>();

  constructor(readSecret: (file: string) => string) {
    this.#readSecret = readSecret;
  }

  add(listed: Listed[number], file: ConfigFileReader, path: ConfigPath): void {
    const { token, token_file, sha256, name: given, accounts, scopes } = listed;
    const ways = [token, token_file, sha256].filter((one) => one !== undefined);
    if (ways.length !== 1) {
      const got = ways.length === 0 ? 'none' : ways.length === 2 ? 'both' : 'all';
      file.problemAt(path, `expected one of token, token_file and sha256, got ${got}`);
    }
    const text = token_file === undefined ? (token ?? '') : this.#read(token_file, file, path);
    if (text === undefined) return;
    const digest = sha256?.toLowerCase() ?? hash('sha256', text, 'hex');
    const before = this.#seen.get(digest);
    if (before !== undefined) file.problemAt(path, `the same token as ${before}; expected each only once`);
    const place = typeof path[0] === 'string' ? `${path[0]}[${path[1]}]` : file.place(path);
    this.#seen.set(digest, place);
    if (given !== undefined && given === text)
      file.problemAt([...path, 'name'], 'the token itself; expected a name, which logs may show');
    const name = given ?? digest.slice(0, nameDigits);
    const namesake = this.#names.get(name);
    if (namesake !== undefined && before === undefined)
      file.problemAt(path, `the same name as ${namesake}, ${JSON.stringify(name)}; expected each only once`);
    this.#names.set(name, place);
    // A hash says nothing about what it is of.
    const isShort = sha256 === undefined && text.length < tokenCharsGood;
    this.tokens.push({ sha256: digest, name, accounts, scopes, ...(isShort && { isShort }) });
  }

  #read(tokenFile: string, file: ConfigFileReader, path: ConfigPath): string | undefined {
    const problem = (why: string): void => file.problemAt([...path, 'token_file'], why);
    try {
      const text = this.#readSecret(tokenFile);
      if (/^\S+$/.test(text)) return text;
      problem(`${tokenFile} has no token; expected one line without spaces`);
    } catch (error) {
      problem(`${tokenFile} cannot be used: ${error instanceof Error ? error.message : String(error)}`);
    }
    return undefined;
  }
}
