/**
 * A module that takes Node's network away from a program, for machines on which the system cannot. It replaces functions, no
 * more: determined code finds others. Programs load it as a CommonJS file, before their own.
 */
export const networkRemoval = `'use strict';
const refuse = () => { throw new Error('the sandbox has no network'); };
for (const name of ['fetch', 'WebSocket', 'EventSource']) {
  Object.defineProperty(globalThis, name, { value: refuse, writable: false, configurable: false });
}
void [process.stdout, process.stderr]; // sockets, which open when they are first read
const net = require('node:net');
net.Socket.prototype.connect = refuse;
net.Server.prototype.listen = refuse;
const modules = [net, ...['dgram', 'dns', 'dns/promises', 'http', 'http2', 'https', 'tls'].map((name) => require('node:' + name))];
for (const module of modules) {
  for (const [name, value] of Object.entries(module)) {
    if (typeof value === 'function') {
      try { module[name] = refuse; } catch { /* it is only read */ }
    }
  }
}
for (const name of ['binding', '_linkedBinding', 'dlopen']) process[name] = refuse;
require('node:module').syncBuiltinESMExports();
`;
