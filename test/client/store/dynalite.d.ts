/** The package has no types; this declares only what the tests use. */
declare module 'dynalite' {
  import type { Server } from 'node:http';
  /** A DynamoDB in memory. */
  export default function dynalite(options: { readonly createTableMs: number }): Server;
}
