/** Every public name of the client, and every member of it, has a doc comment: the text that editors show. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { root } from '../docs/server-child.ts';

const entries = ['src/client/exports.ts', 'src/client/store/exports.ts'];

/** The names that an entry exports, with the files that declare them. */
function exportsOf(entry: string): { readonly name: string; readonly file: string }[] {
  const text = fs.readFileSync(path.join(root, entry), 'utf8');
  return [...text.matchAll(/^export (?:type )?\{([^}]*)\} from '([^']+)'/gm)].flatMap(([, names = '', from = '']) =>
    names
      .split(',')
      .map((name) => name.trim().replace(/^type /, ''))
      .filter((name) => name !== '')
      .map((name) => ({ name, file: path.join(path.dirname(entry), from) })),
  );
}

/** The lines of a declaration, which ends at the next line without indentation. */
function declarationOf(name: string, lines: readonly string[]): { readonly at: number; readonly end: number } {
  const head = new RegExp(`^export (?:abstract )?(?:class|interface|type|function|const) ${name}\\b`);
  const at = lines.findIndex((line) => head.test(line));
  assert.ok(at >= 0, `${name} is declared`);
  if (/[;}]$/.test(lines[at]!) && !lines[at]!.endsWith('{')) return { at, end: at };
  const length = lines.slice(at + 1).findIndex((line) => /^[^ \n]/.test(line) && line !== '');
  return { at, end: length < 0 ? lines.length - 1 : at + 1 + length };
}

/** Members that begin on this line: of a class or an interface, or of the objects of a union. */
function memberOn(line: string, isClass: boolean): string | undefined {
  if (/^ *\| \{ .*\breadonly\b/.test(line) || /: \{ readonly\b/.test(line)) return 'members in one line';
  // A class is described at its head, and most are not made by users.
  if (/^ {2}(?:static \{|constructor\(|protected |private |#|override (?:get )?name\b)/.test(line)) return undefined;
  const readonly = /^ {2,}(?:override )?readonly (\w+)/.exec(line)?.[1];
  if (readonly !== undefined && !/^ {2}readonly #/.test(line)) return readonly;
  const method = /^ {2}(?:override )?(?:async )?(?:get )?(\w+|\[Symbol\.\w+\])(?:<[^(]*>)?\(/.exec(line)?.[1];
  if (method !== undefined && (!isClass || /[({;]$|,$/.test(line))) return method;
  return isClass ? undefined : /^ {2}(\w+)\??:/.exec(line)?.[1];
}

function isDocumented(lines: readonly string[], at: number): boolean {
  return lines[at - 1]?.endsWith('*/') ?? false;
}

for (const entry of entries) {
  test(`${entry}: every exported name and member has a doc comment`, () => {
    const missing: string[] = [];
    const all = exportsOf(entry);
    assert.ok(all.length >= 20, `${all.length} names`);
    for (const { name, file } of all) {
      const lines = fs.readFileSync(path.join(root, file), 'utf8').split('\n');
      const { at, end } = declarationOf(name, lines);
      if (!isDocumented(lines, at)) missing.push(`${file}:${at + 1} ${name}`);
      const isClass = /\bclass\b/.test(lines[at]!);
      // Editors show the comments of the interface.
      if (/\bclass\b.* implements (?!AsyncDisposable)/.test(lines[at]!)) continue;
      let before: string | undefined;
      for (let i = at + 1; i < end; i += 1) {
        const member = memberOn(lines[i]!, isClass);
        if (member === undefined) continue;
        // The first of its overloads has the comment.
        if (member !== before && !isDocumented(lines, i)) missing.push(`${file}:${i + 1} ${name}.${member}`);
        before = member;
      }
    }
    assert.deepEqual(missing, []);
  });
}
