// Cuts GitHub's own OpenAPI description (811 paths) down to what our adapter asks for, so that Prism starts in
// seconds. Writes the description to standard output:  node describe.mjs > github.json

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

const USED = {
  '/user': ['get'],
  '/rate_limit': ['get'],
  '/repos/{owner}/{repo}': ['get'],
  '/repos/{owner}/{repo}/collaborators/{username}/permission': ['get'],
  '/repos/{owner}/{repo}/issues/{issue_number}': ['get'],
  '/repos/{owner}/{repo}/issues/{issue_number}/comments': ['get', 'post'],
  '/repos/{owner}/{repo}/issues/comments/{comment_id}': ['get', 'patch', 'delete'],
  '/repos/{owner}/{repo}/issues/{issue_number}/labels': ['post'],
  '/repos/{owner}/{repo}/issues/{issue_number}/labels/{name}': ['delete'],
}

const source = createRequire(import.meta.url).resolve('@octokit/openapi/generated/api.github.com.json')
const whole = JSON.parse(readFileSync(source, 'utf8'))
const cut = { openapi: whole.openapi, info: whole.info, servers: whole.servers, paths: {}, components: {} }

for (const [path, methods] of Object.entries(USED)) {
  const described = whole.paths[path]
  if (!described) throw new Error(`GitHub's description has no ${path}`)
  cut.paths[path] = {}
  for (const method of methods) {
    if (!described[method]) throw new Error(`GitHub's description has no ${method} ${path}`)
    cut.paths[path][method] = described[method]
  }
}

// Take along every component that is referred to, and those that these refer to.
const seen = new Set()
function follow(node) {
  if (Array.isArray(node)) return node.forEach(follow)
  if (node === null || typeof node !== 'object') return
  for (const [key, value] of Object.entries(node)) {
    if (key === '$ref' && typeof value === 'string' && value.startsWith('#/components/') && !seen.has(value)) {
      seen.add(value)
      const [kind, name] = value.split('/').slice(2).map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
      cut.components[kind] ??= {}
      cut.components[kind][name] = whole.components[kind][name]
      follow(cut.components[kind][name])
    } else {
      follow(value)
    }
  }
}
follow(cut.paths)

// Clients ask for the vendor's name of JSON, which the description leaves out: Prism would refuse it.
for (const path of Object.values(cut.paths)) {
  for (const operation of Object.values(path)) {
    for (const response of Object.values(operation.responses)) addVendorType(response)
  }
}
for (const response of Object.values(cut.components.responses ?? {})) addVendorType(response)

function addVendorType(response) {
  const json = response.content?.['application/json']
  if (json) response.content['application/vnd.github+json'] = json
}

process.stdout.write(JSON.stringify(cut))
