/**
 * The document as a page: one file of HTML without a script, a font or an image, so that it needs nothing from anywhere
 * and its policy can forbid everything but its own style. Details open by `<details>`, and a search is the browser's.
 */
import { hash } from 'node:crypto';
import type { OpenApiDocument, OpenApiOperation, OpenApiParameter, OpenApiResponse } from './document.ts';
import type { Schema } from './schemas.ts';

const style = `
:root { color-scheme: light dark; --line: rgb(128 128 128 / 27%); --soft: rgb(128 128 128 / 9%); --quiet: dimgray; --link: mediumblue; }
@media (prefers-color-scheme: dark) { :root { --quiet: darkgray; --link: lightskyblue; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 1rem; font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
a { color: var(--link); } a:focus-visible, summary:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
code, pre { font: .9em/1.4 ui-monospace, monospace; } pre { overflow-x: auto; background: var(--soft); padding: .6rem; }
nav ul { columns: 14rem; list-style: none; padding: 0; } h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); }
details.call { border: 1px solid var(--line); border-radius: .4rem; margin: .5rem 0; } details > div { padding: 0 .8rem .8rem; }
summary { cursor: pointer; padding: .5rem .8rem; } .method { display: inline-block; min-width: 4.5em; font-weight: bold; }
.quiet { color: var(--quiet); } table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0; border-top: 1px solid var(--line); }
@media (max-width: 40rem) { th, td { display: block; border-top: 0; padding: 0; } tr { display: block; border-top: 1px solid var(--line); padding: .4rem 0; } }
`;

const policy =
  `default-src 'none'; style-src 'sha256-${hash('sha256', style, 'base64')}'; base-uri 'none'; form-action 'none'; ` +
  "frame-ancestors 'none'";

/** Names and values in turn. */
export const openApiPageHeaders: readonly string[] = [
  'Content-Security-Policy',
  policy,
  'X-Content-Type-Options',
  'nosniff',
  'Referrer-Policy',
  'no-referrer',
  'Cache-Control',
  'no-cache',
];

interface PageCall {
  readonly method: string;
  readonly path: string;
  readonly operation: OpenApiOperation;
}

export function openApiPage(document: OpenApiDocument): string {
  const calls = Object.entries(document.paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
  );
  const sections = document.tags.map(({ name, description }) => {
    const own = calls.filter(({ operation }) => operation.tags.includes(name)).map((call) => callHtml(call));
    return `<h2 id="${escaped(name)}">${escaped(name)}</h2><p>${escaped(description)}</p>${own.join('\n')}`;
  });
  const contents = document.tags.map(({ name }) => `<li><a href="#${escaped(name)}">${escaped(name)}</a></li>`);
  const schemas = Object.entries(document.components.schemas).map(
    ([name, schema]) =>
      `<details class="call" id="schema-${escaped(name)}"><summary><code>${escaped(name)}</code></summary>` +
      `<div>${schemaHtml(schema)}</div></details>`,
  );
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Dragon Lock: the API</title><style>${style}</style></head><body>
<header><h1>Dragon Lock: the API</h1>
<p>Calls, parameters, replies and errors of this server. <a href="/openapi.json">openapi.json</a> is the same as
OpenAPI 3.1, for generators of clients.</p></header>
<nav aria-label="Sections"><ul>${contents.join('')}<li><a href="#schemas">schemas</a></li></ul></nav>
<main>${sections.join('\n')}
<h2 id="schemas">schemas</h2>${schemas.join('\n')}</main></body></html>
`;
}

function callHtml({ method, path, operation }: PageCall): string {
  const { operationId, summary, description = '', parameters, requestBody, responses, security } = operation;
  const scopes = Object.values(security[0] ?? {}).flat();
  const token = scopes.length === 0 ? 'Needs no token.' : `Scope, by what is asked: ${scopes.join(', ')}.`;
  const rows = parameters.map((parameter) => parameterHtml(parameter)).join('');
  const body = Object.entries(requestBody?.content ?? {}).map(
    ([type, { schema }]) => `<p><code>${escaped(type)}</code></p>${schemaHtml(schema)}`,
  );
  return (
    `<details class="call" id="${escaped(operationId)}"><summary><span class="method">${escaped(method)}</span> ` +
    `<code>${escaped(path)}</code><br>${marked(summary)}</summary><div><p class="quiet">${escaped(token)}</p>` +
    (rows === '' ? '' : `<h4>Parameters</h4><table>${rows}</table><p>${marked(description)}</p>`) +
    (body.length === 0 ? '' : `<h4>Body</h4>${body.join('')}`) +
    `<h4>Replies</h4><table>${Object.entries(responses)
      .map(([status, response]) => responseHtml(status, response))
      .join('')}</table></div></details>`
  );
}

function parameterHtml({ name, in: place, required, description, schema }: OpenApiParameter): string {
  const needed = required === true && place !== 'path' ? ', required' : '';
  return (
    `<tr><th scope="row"><code>${escaped(name)}</code></th><td>${marked(description)} ` +
    `<span class="quiet">(${escaped(place)}${needed}; ${escaped(range(schema))})</span></td></tr>`
  );
}

/** Says in a few words what a plain schema takes. */
function range(schema: Schema): string {
  const { type = 'any', minimum, exclusiveMinimum, maximum, maxLength } = schema;
  const words = [type];
  if (schema.enum !== undefined) words.push(schema.enum.join(' or '));
  if (minimum !== undefined) words.push(`≥ ${minimum}`);
  if (exclusiveMinimum !== undefined) words.push(`> ${exclusiveMinimum}`);
  if (maximum !== undefined) words.push(`≤ ${maximum}`);
  if (maxLength !== undefined) words.push(`at most ${maxLength} characters`);
  return words.join(', ');
}

function responseHtml(status: string, { description, content = {} }: OpenApiResponse): string {
  const failed = Number(status) >= 400;
  const schemas = failed ? [] : Object.values(content).map(({ schema }) => schemaHtml(schema));
  const paragraphs = description.split('\n\n').map((paragraph) => `<p>${marked(paragraph)}</p>`);
  return `<tr><th scope="row">${escaped(status)}</th><td>${paragraphs.join('')}${schemas.join('')}</td></tr>`;
}

function schemaHtml(schema: Schema): string {
  const { $ref } = schema;
  if (typeof $ref === 'string') {
    const name = $ref.slice($ref.lastIndexOf('/') + 1);
    return `<p>→ <a href="#schema-${escaped(name)}">${escaped(name)}</a></p>`;
  }
  return `<pre>${escaped(JSON.stringify(schema, undefined, 1))}</pre>`;
}

/** Text with its code in backticks. */
function marked(text: string): string {
  return escaped(text).replaceAll(/`([^`]+)`/g, '<code>$1</code>');
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
