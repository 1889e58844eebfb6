/* Stops `npm test` early, with one sentence, when npm could not give it the Node it needs. Old syntax on purpose. */
'use strict';
var NODE_MAJOR_NEEDED = 26;

if (Number(process.versions.node.split('.')[0]) < NODE_MAJOR_NEEDED) {
  console.error(
    'Shoal needs Node ' + NODE_MAJOR_NEEDED + ' or newer, and this is Node ' + process.versions.node +
      ': run `npm ci` (without --omit=optional), which brings the right one along.'
  );
  process.exit(1);
}
