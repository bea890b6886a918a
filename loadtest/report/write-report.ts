/** Writes the files that are made from the JSON report. */
import fs from 'node:fs';
import path from 'node:path';
import type { Report } from '../results.ts';
import { renderHtml } from './html.ts';
import { putInto, renderMarkdown } from './markdown.ts';
import { renderSummary } from './summary-svg.ts';

const root = path.resolve(import.meta.dirname, '../..');

/** Writes a report into the directory. Returns the files. */
export function writeReport(report: Report, directory: string): string[] {
  fs.mkdirSync(directory, { recursive: true });
  const files = {
    'loadtest.json': `${JSON.stringify(report, undefined, 1)}\n`,
    'loadtest.html': renderHtml(report),
    'loadtest.md': renderMarkdown(report),
    'loadtest.svg': renderSummary(report),
  };
  return Object.entries(files).map(([name, text]) => {
    const file = path.join(directory, name);
    fs.writeFileSync(file, text);
    return file;
  });
}

/** Writes the figures in the repository: the tables of docs/performance.md and the README's picture. */
export function writeDocuments(report: Report): string[] {
  const document = path.join(root, 'docs/performance.md');
  const picture = path.join(root, 'docs/performance.svg');
  fs.writeFileSync(document, putInto(fs.readFileSync(document, 'utf8'), renderMarkdown(report)));
  fs.writeFileSync(picture, renderSummary(report));
  return [document, picture];
}

/** Reads a JSON report. @throws if it does not have this format */
export function readReport(file: string): Report {
  const report = JSON.parse(fs.readFileSync(file, 'utf8')) as Partial<Report>;
  if (report.format !== 1 || report.rows === undefined)
    throw new Error(`${file}: expected a JSON report of npm run loadtest`);
  return report as Report;
}
