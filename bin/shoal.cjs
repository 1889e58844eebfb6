#!/usr/bin/env node
/*
 * The same as bin/shoal where a shell script cannot be used: npm's links and Windows. Old syntax on purpose: any Node must be able to
 * read it, to say in one sentence which Node is needed.
 */
'use strict';
var fs = require('fs');
var path = require('path');

var NODE_MAJOR_NEEDED = 26;
var START = path.join(__dirname, 'start.cjs');

/** The Node that npm installed with us for this machine, or null. */
function ownNode() {
  var system = process.platform === 'win32' ? 'win' : process.platform;
  var names = ['node-bin-' + system + '-' + process.arch, 'node-' + system + '-' + process.arch];
  for (var i = 0; i < names.length; i++) {
    try {
      var folder = path.dirname(require.resolve(names[i] + '/package.json'));
      var file = path.join(folder, 'bin', system === 'win' ? 'node.exe' : 'node');
      fs.accessSync(file, fs.constants.X_OK);
      return file;
    } catch (error) {
      /* not installed under this name: try the next */
    }
  }
  return null;
}

function becomeOrSpawn(node, args) {
  if (process.platform !== 'win32' && typeof process.execve === 'function') {
    process.removeAllListeners('warning'); /* it is marked experimental in the versions that get here */
    process.execve(node, [node].concat(args), process.env);
  }
  var child = require('child_process').spawn(node, args, { stdio: 'inherit' });
  var signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  signals.forEach(function (signal) {
    process.on(signal, function () {
      child.kill(signal);
    });
  });
  child.on('error', function (error) {
    console.error('shoal: ' + node + ' does not run: ' + error.message);
    process.exit(1);
  });
  child.on('exit', function (code, signal) {
    if (!signal) process.exit(code);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

if (Number(process.versions.node.split('.')[0]) >= NODE_MAJOR_NEEDED) {
  require(START);
} else {
  var node = ownNode();
  if (node === null) {
    console.error(
      'shoal needs Node ' + NODE_MAJOR_NEEDED + ' or newer, and this is Node ' + process.versions.node +
        ': install it again without --omit=optional, which brings the right one along, or run it with a newer Node.'
    );
    process.exit(1);
  }
  becomeOrSpawn(node, [START].concat(process.argv.slice(2)));
}
