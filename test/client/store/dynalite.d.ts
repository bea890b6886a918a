/** The package has no types of its own; only what is used is declared. */
declare module 'dynalite' {
  import type { Server } from 'node:http';
  /** A DynamoDB in memory. */
  export default function dynalite(options: { readonly createTableMs: number }): Server;
}
