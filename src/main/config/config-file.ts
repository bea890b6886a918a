/** Reads config.yml, checks it against its schema, and reports problems with line and column. */
import type { ErrorObject, ValidateFunction } from 'ajv';
import { isMap, isNode, isScalar, LineCounter, parseDocument, type Document } from 'yaml';
import { configSchema, tokensSchema, type ConfigFile } from '../../front-end/config-schema.ts';
import { checkOf } from '../../front-end/schema-checks.ts';
import { nearestName } from '../../shared/closest-name.ts';
import { shown } from '../../shared/text.ts';

export type ConfigPath = readonly (string | number)[];

/** A value that takes the place of one in the file. */
export interface Override {
  /** Where it is from, for messages. */
  readonly name: string;
  readonly path: ConfigPath;
  readonly value: unknown;
}

/** Of each kind of file. */
const checks: Readonly<Record<FileKind, () => ValidateFunction>> = {
  config: checkOf(configSchema, 'all-errors'),
  tokens: checkOf(tokensSchema, 'all-errors'),
};
export type FileKind = 'config' | 'tokens';

export class ConfigFileReader {
  readonly problems: string[] = [];
  readonly #file: string;
  readonly #need: 'optional' | 'required';
  readonly #lines = new LineCounter();
  #document: Document | undefined;
  #overrides: readonly Override[] = [];

  constructor(file: string, need: 'optional' | 'required') {
    this.#file = file;
    this.#need = need;
  }

  /**
   * Reads config.yml. What is set elsewhere takes the place of what the file has.
   * @returns nothing of it when it has `problems`
   */
  read(readFile: (file: string) => string, overrides: readonly Override[] = []): ConfigFile {
    this.#overrides = overrides;
    return (this.readAs('config', readFile) as ConfigFile | undefined) ?? {};
  }

  /** Reads a file of this kind. @returns undefined when there is nothing in it, or it has `problems` */
  readAs(kind: FileKind, readFile: (file: string) => string): unknown {
    const content = this.#withOverrides(this.#parsed(readFile));
    if (content === undefined) return undefined;
    const fits = checks[kind]();
    if (fits(content)) return content;
    for (const error of mostTelling(fits.errors ?? [])) this.#shapeProblem(error);
    return undefined;
  }

  problem(message: string): void {
    this.problems.push(message);
  }

  problemAt(path: ConfigPath, why: string): void {
    this.problem(`${this.place(path)}: ${why}`);
  }

  /** Returns `config.yml:12:3: limits.foo`, without line and column when the file does not have the key. */
  place(path: ConfigPath): string {
    const override = this.#overrides.find((one) => one.path.every((part, i) => part === path[i]));
    if (override !== undefined) return override.name;
    const offset = this.#offsetOf(path);
    const name = pathText(path);
    return offset === undefined ? `${this.#file}: ${name}` : `${this.#at(offset)}: ${name}`;
  }

  #parsed(readFile: (file: string) => string): unknown {
    const text = this.#text(readFile);
    if (text === undefined) return undefined;
    const document = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false });
    for (const error of document.errors) this.problem(`${this.#at(error.pos[0])}: ${error.message}`);
    if (document.errors.length > 0) return undefined;
    this.#document = document;
    // A file may have nothing but comments.
    return document.toJS() ?? undefined;
  }

  #withOverrides(content: unknown): unknown {
    if (this.#overrides.length === 0 || this.problems.length > 0) return content;
    const all: unknown = content ?? {};
    for (const { path, value } of this.#overrides) {
      let section: unknown = all;
      // What is no object where one is expected is a problem anyway.
      for (const part of path.slice(0, -1)) section = isRecord(section) ? (section[part] ??= {}) : undefined;
      if (isRecord(section)) section[path.at(-1)!] = value;
    }
    return all;
  }

  #text(readFile: (file: string) => string): string | undefined {
    try {
      return readFile(this.#file);
    } catch (error) {
      const absent = error instanceof Error && 'code' in error && error.code === 'ENOENT';
      if (!absent || this.#need === 'required') {
        this.problem(`${this.#file}: cannot be read: ${error instanceof Error ? error.message : String(error)}`);
      }
      return undefined;
    }
  }

  #shapeProblem(error: ErrorObject): void {
    const path = pointerPath(error.instancePath, this.#document);
    if (error.keyword === 'additionalProperties') {
      const unknown = String(error.params['additionalProperty']);
      const properties: object = error.parentSchema?.['properties'] ?? {};
      const known = Object.keys(properties);
      const meant = nearestName(unknown, known);
      const hint = meant === undefined ? `known are ${known.join(', ')}` : `did you mean ${meant}?`;
      return this.problemAt([...path, unknown], `unknown key; ${hint}`);
    }
    if (error.keyword === 'required') {
      return this.problemAt(path, `${String(error.params['missingProperty'])} is missing`);
    }
    const expected: unknown = error.parentSchema?.['expected'];
    // A token must not appear in a terminal or a log.
    const got = path.at(-1) === 'token' ? '' : `, got ${shown(error.data ?? undefined)}`;
    this.problemAt(
      path,
      `expected ${typeof expected === 'string' ? expected : (error.message ?? 'something else')}${got}`,
    );
  }

  /** The offset of the key if there is one, because people look there. */
  #offsetOf(path: ConfigPath): number | undefined {
    const last = path.at(-1);
    const parent: unknown =
      path.length <= 1 ? this.#document?.contents : this.#document?.getIn(path.slice(0, -1), true);
    if (isMap(parent)) {
      const pair = parent.items.find(({ key }) => isScalar(key) && String(key.value) === last);
      if (pair !== undefined && isNode(pair.key)) return pair.key.range?.[0];
    }
    const node: unknown = path.length === 0 ? this.#document?.contents : this.#document?.getIn(path, true);
    return isNode(node) ? node.range?.[0] : undefined;
  }

  #at(offset: number): string {
    const { line, col } = this.#lines.linePos(offset);
    return `${this.#file}:${line}:${col}`;
  }
}

function isRecord(value: unknown): value is Record<string | number, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** When a value fits no branch of a union, Ajv reports every branch and then the union; keeps only the union. */
function mostTelling(errors: readonly ErrorObject[]): ErrorObject[] {
  const unions = errors.filter(({ keyword }) => keyword === 'anyOf').map(({ schemaPath }) => schemaPath);
  const seen = new Set<string>();
  return errors.filter(({ schemaPath, instancePath, keyword }) => {
    if (unions.some((union) => schemaPath.startsWith(`${union}/`))) return false;
    const place =
      keyword === 'additionalProperties' || keyword === 'required' ? `${schemaPath} ${instancePath}` : instancePath;
    const first = keyword === 'additionalProperties' || keyword === 'required' || !seen.has(place);
    seen.add(place);
    return first;
  });
}

function pointerPath(pointer: string, document: Document | undefined): ConfigPath {
  const path: (string | number)[] = [];
  for (const escaped of pointer.split('/').slice(1)) {
    const part = escaped.replaceAll('~1', '/').replaceAll('~0', '~');
    const inMap = isMap(path.length === 0 ? document?.contents : document?.getIn(path, true));
    path.push(!inMap && /^\d+$/.test(part) ? Number(part) : part);
  }
  return path;
}

function pathText(path: ConfigPath): string {
  let text = '';
  for (const part of path) text += typeof part === 'number' ? `[${part}]` : `${text === '' ? '' : '.'}${part}`;
  return text === '' ? 'the file' : text;
}
