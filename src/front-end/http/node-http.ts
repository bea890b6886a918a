/**
 * What a front end takes of node:http. An `import` of it reads all its members, also those that load undici: that costs each
 * thread 50 ms at its start, and some megabytes for good.
 */
export const { createServer, STATUS_CODES } = process.getBuiltinModule('node:http');
