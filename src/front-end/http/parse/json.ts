/** Parses JSON bodies, and says what to do about a text that is not JSON. */
import { refuse } from '../../../protocol/refusal.ts';
import { shown } from '../../../shared/text.ts';

/** @param expected what the call takes */
export function parseJson(text: string, expected = 'JSON'): unknown {
  if (text === '') return refuse('invalid', `The body is empty; expected ${expected}`);
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    const reason = hint(text) ?? (error instanceof Error ? error.message : String(error));
    return refuse('invalid', `The body is not JSON: ${reason}; it begins with ${shown(beginning(text))}`);
  }
}

function beginning(text: string): string {
  // A lone surrogate at the cut would not survive as UTF-8.
  return text.slice(0, 30).toWellFormed();
}

/** Tells apart the mistakes that people make in shells and scripts; undefined for any other. */
function hint(text: string): string | undefined {
  if (text.startsWith('\ufeff')) return 'there is a byte order mark in front; send the text without it';
  if (text.startsWith('[object ')) return 'this is a JavaScript object as a string; expected JSON.stringify(value)';
  if (/^\s*[[{]?\s*'/.test(text)) return 'JSON has double quotes; put the whole body in single quotes: -d \'{"a":1}\'';
  if (/^\s*[[{]\s*[A-Za-z_]/.test(text) && !/^\s*\[\s*(true|false|null)\b/.test(text)) {
    return 'the names have no double quotes; a shell removes them unless the whole body is in single quotes: -d \'{"a":1}\'';
  }
  if (/^[\w.%-]+=/.test(text)) return 'this is a form; expected JSON, such as -d \'{"a":1}\'';
  if (/^\s*[\p{L}_/.<]/u.test(text) && !/^\s*(true|false|null)\b/.test(text)) {
    return "a string needs double quotes inside the shell's: -d '\"hello\"'";
  }
  return undefined;
}

/** Returns whether the value is a JSON object, and not a list. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
