// The authorisation server of an EHR: oidc-provider, and what SMART App Launch adds to it.
//
// It reads one line of JSON from standard input: client (id, redirects), scopes, launches by the value of the
// parameter `launch` (`""` is a standalone launch): context (patient, encounter, fhirContext, ...), user
// (fhirUser), scopes that are granted (all of those asked for where left out), denied (true).
// It prints one line of JSON with its url once it listens on a free port of 127.0.0.1.
import { createInterface } from "node:readline";
import { createServer } from "node:http";
import { Provider } from "oidc-provider";

const given = JSON.parse((await createInterface({ input: process.stdin })[Symbol.asyncIterator]().next()).value);
const contexts = new Map(); // by grant: what the token answer says of the launch
const users = new Map(); // by account: fhirUser

const server = createServer();
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: given.client.id,
      redirect_uris: given.client.redirects,
      token_endpoint_auth_method: "none",
      grant_types: ["authorization_code"],
      response_types: ["code"],
    },
  ],
  clientBasedCORS: () => true,
  scopes: ["openid", ...given.scopes],
  claims: { openid: ["sub"], fhirUser: ["fhirUser"] },
  conformIdTokenClaims: false,
  extraParams: ["aud", "launch"],
  pkce: { required: () => true },
  features: { devInteractions: { enabled: false } },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  cookies: { keys: ["only for tests"] },
  ttl: { AccessToken: 3600, AuthorizationCode: 60, Grant: 3600, IdToken: 3600, Interaction: 600, Session: 3600 },
  async findAccount(_, id) {
    return { accountId: id, claims: async () => ({ sub: id, fhirUser: users.get(id) }) };
  },
});

/** Signs in whom the launch names, and grants what it grants; nobody is asked. */
async function interact(ctx) {
  const { params } = await provider.interactionDetails(ctx.req, ctx.res);
  const launch = given.launches[params.launch || ""];
  const refusal = refused(params, launch);
  if (refusal) return provider.interactionFinished(ctx.req, ctx.res, refusal);
  const accountId = launch.user;
  users.set(accountId, launch.user);
  const grant = new provider.Grant({ accountId, clientId: params.client_id });
  const asked = params.scope.split(" ");
  grant.addOIDCScope(asked.filter((scope) => !launch.scopes || launch.scopes.includes(scope)).join(" "));
  const rejected = launch.scopes ? asked.filter((scope) => !launch.scopes.includes(scope)) : [];
  if (rejected.length) grant.rejectOIDCScope(rejected.join(" "));
  const grantId = await grant.save();
  contexts.set(grantId, launch.context);
  return provider.interactionFinished(ctx.req, ctx.res, { login: { accountId, remember: false }, consent: { grantId } });
}

function refused(params, launch) {
  if (!launch) return { error: "invalid_request", error_description: "unknown launch" };
  if (params.aud !== given.audience) return { error: "invalid_request", error_description: "wrong aud" };
  return launch.denied ? { error: "access_denied", error_description: "<script>alert(1)</script>" } : null;
}

/** Says what a token permits, to the FHIR server. */
async function introspect(ctx) {
  const token = await provider.AccessToken.find(ctx.query.token);
  ctx.body = token && token.isValid ? { scope: token.scope, user: token.accountId } : {};
}

provider.use(async (ctx, next) => {
  if (ctx.path.startsWith("/interaction/")) {
    ctx.respond = false;
    await interact(ctx);
    return;
  }
  if (ctx.path === "/introspect") return introspect(ctx);
  await next();
  if (ctx.oidc?.route === "token" && ctx.body?.access_token) {
    Object.assign(ctx.body, contexts.get(ctx.oidc.entities.AuthorizationCode.grantId));
  }
});

const answer = provider.callback();

/** Gives cookies that a frame of another site keeps, apart for each site around it: others are blocked there. */
server.on("request", (request, response) => {
  const setHeader = response.setHeader.bind(response);
  response.setHeader = (name, value) =>
    setHeader(name, name.toLowerCase() === "set-cookie" ? [value].flat().map(partitioned) : value);
  answer(request, response);
});

function partitioned(cookie) {
  return `${cookie.replace(/; *(samesite=\w+|secure)/gi, "")}; SameSite=None; Secure; Partitioned`;
}

console.log(JSON.stringify({ url: issuer }));
