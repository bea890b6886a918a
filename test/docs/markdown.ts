/** The few things that tests ask of a Markdown file: its code blocks, tables, headings and links. */
import fs from 'node:fs';
import path from 'node:path';
import { root } from './server-child.ts';

export interface Fence {
  /** What stands behind the opening ```: `json 409`. */
  readonly info: string;
  readonly text: string;
  /** Of the opening ```, counted from 1. */
  readonly line: number;
}

/** @param file as seen from the root of the repository */
export function readDoc(file: string): string {
  return fs.readFileSync(path.join(root, file), 'utf8');
}

export function fences(markdown: string): Fence[] {
  const found: Fence[] = [];
  let open: { info: string; line: number; lines: string[] } | undefined;
  for (const [index, line] of markdown.split('\n').entries()) {
    const mark = /^```(.*)$/.exec(line)?.[1];
    if (mark === undefined) open?.lines.push(line);
    else if (open === undefined) open = { info: mark.trim(), line: index + 1, lines: [] };
    else {
      found.push({ info: open.info, line: open.line, text: open.lines.join('\n') });
      open = undefined;
    }
  }
  return found;
}

/** The Markdown without its code blocks; lines keep their numbers. */
export function prose(markdown: string): string {
  let inside = false;
  const lines = markdown.split('\n').map((line) => {
    const isMark = line.startsWith('```');
    if (isMark) inside = !inside;
    return isMark || inside ? '' : line;
  });
  return lines.join('\n');
}

/** The rows of the first table behind a heading, without the table's own head; cells without their backticks. */
export function tableUnder(markdown: string, heading: string): string[][] {
  const lines = prose(markdown).split('\n');
  const start = lines.findIndex((line) => /^#+ /.test(line) && line.replace(/^#+ /, '') === heading);
  if (start === -1) throw new Error(`There is no heading "${heading}"`);
  const from = lines.findIndex((line, index) => index > start && line.startsWith('|'));
  if (from === -1) throw new Error(`There is no table under the heading "${heading}"`);
  const rows: string[][] = [];
  for (let at = from + 2; lines[at]?.startsWith('|'); at += 1) rows.push(cellsOf(lines[at] ?? ''));
  return rows;
}

function cellsOf(row: string): string[] {
  return row
    .slice(1, row.lastIndexOf('|'))
    .split('|')
    .map((cell) => cell.trim().replace(/^`(.*)`$/, '$1'));
}

/** Every name in backticks. */
export function codeSpans(markdown: string): Set<string> {
  return new Set([...prose(markdown).matchAll(/`([^`\n]+)`/g)].map(([, code]) => code ?? ''));
}

export interface Link {
  readonly target: string;
  readonly line: number;
}

export function links(markdown: string): Link[] {
  const found: Link[] = [];
  for (const [index, line] of prose(markdown).split('\n').entries()) {
    for (const [, target] of line.matchAll(/\]\(([^)\s]+)\)/g)) found.push({ target: target ?? '', line: index + 1 });
  }
  return found;
}

/** The anchors of a file's headings, as the usual renderers make them. */
export function anchors(markdown: string): Set<string> {
  const headings = [...prose(markdown).matchAll(/^#+ (.+)$/gm)].map(([, heading]) => heading ?? '');
  return new Set(
    headings.map((heading) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );
}

/** Every link in the Markdown files of a folder that leads nowhere, as `file:line: target`. */
export function deadLinks(directory: string): string[] {
  const files = fs.readdirSync(directory, { recursive: true, encoding: 'utf8' });
  const documents = files.filter((file) => file.endsWith('.md') && !file.includes('node_modules'));
  const read = (file: string): string => fs.readFileSync(path.join(directory, file), 'utf8');
  return documents.flatMap((document) =>
    links(read(document)).flatMap(({ target, line }) => {
      if (/^[a-z]+:/.test(target)) return [];
      const [name = '', anchor] = target.split('#');
      const place = name === '' ? document : path.join(path.dirname(document), name);
      const leads =
        !place.startsWith('..') &&
        fs.statSync(path.join(directory, place), { throwIfNoEntry: false })?.isFile() === true &&
        (anchor === undefined || anchors(read(place)).has(anchor));
      return leads ? [] : [`${document}:${line}: ${target}`];
    }),
  );
}
