/**
 * Hosts that agents, package managers, browsers and telemetry reach every day: the forms are those of the platforms' documentation, the
 * identifiers in them are invented. None of them carries data.
 */
const GROUPS: Readonly<Record<string, string>> = {
  AI:
    'api.openai.com api.anthropic.com generativelanguage.googleapis.com us-central1-aiplatform.googleapis.com ' +
    'bedrock-runtime.us-east-1.amazonaws.com my-openai-prod-eastus2.openai.azure.com api.mistral.ai api.groq.com ' +
    'openrouter.ai api.together.xyz api-inference.huggingface.co cas-bridge.xethub.hf.co cdn-lfs-us-1.hf.co ' +
    'k7x2m9q4z1w8r5t3.us-east-1.aws.endpoints.huggingface.cloud w3f8s0kz6y5jm1d9-8888.proxy.runpod.net ' +
    '5f2c9a7e-3b1d-4c88-9f60-0d7e2a4b6c1f.app.e2b.dev browser-tools.modal.run sandbox-3f9a2b.daytona.work',
  AWS:
    'ec2-52-91-134-207.compute-1.amazonaws.com ec2.us-west-2.amazonaws.com d111abcdef8gh9.cloudfront.net ' +
    'dzqk4l8w2x0y7.cloudfront.net my-company-build-artifacts-9f8e7d6c5b4a.s3.eu-central-1.amazonaws.com ' +
    'aws-sam-cli-managed-default-samclisourcebucket-1k2j3h4g5f6d7.s3.amazonaws.com ' +
    'a1b2c3d4e5.execute-api.us-east-1.amazonaws.com x7k2m9q4z1w8r5t3v6b0n2c4y8p1d3s5.lambda-url.eu-west-1.on.aws ' +
    '0a1b2c3d4e5f60718293a4b5c6d7e8f9.gr7.us-east-1.eks.amazonaws.com ' +
    'search-logs-prod-k4f7x2m9q4z1w8r5t3v6b0n2c4.us-east-1.es.amazonaws.com ' +
    'prod-db.cluster-c9x8k7j6h5g4.us-east-1.rds.amazonaws.com a3k9d8f7s6q5w4-ats.iot.us-east-1.amazonaws.com ' +
    'internal-k8s-default-api-5f3a9c1e2b-1234567890.us-east-1.elb.amazonaws.com ' +
    '123456789012.dkr.ecr.us-east-1.amazonaws.com main.d3k9f8s7q6w5e4.amplifyapp.com ' +
    'myenv.eba-k3j4h5g6.us-east-1.elasticbeanstalk.com sqs.eu-west-1.amazonaws.com d-9067a1b2c3.awsapps.com ' +
    'prod-us-east-1-starport-layer-bucket.s3.us-east-1.amazonaws.com ' +
    'vpce-0a1b2c3d4e5f67890-k3j4h5g6.execute-api.us-east-1.vpce.amazonaws.com',
  Azure:
    'productionresultssa4.blob.core.windows.net mystorageacct0f3e9d.blob.core.windows.net ' +
    'st7k2m9q4z1w8r5t3v6b0.blob.core.windows.net kv-prod-8f3a2c1d.vault.azure.net ' +
    'myapp.purplesky-0a1b2c3d.eastus.azurecontainerapps.io app-gqhyd4k7x2m9q4z.azurewebsites.net ' +
    'func-orders-k7x2m9q4z1w8r.azurewebsites.net adb-1234567890123456.7.azuredatabricks.net ' +
    'happy-rock-0a1b2c3d4.5.azurestaticapps.net myregistry8f3a.azurecr.io sql-prod-k7x2m9q4z1w8.database.windows.net ' +
    'mgmt-api-k7x2m9.azure-api.net fd-endpoint-f8d3k2j4h5g6a7b8.z01.azurefd.net login.microsoftonline.com ' +
    'graph.microsoft.com dc.services.visualstudio.com centralus-2.in.applicationinsights.azure.com ' +
    'default4f3c2b1a9e8d4c6b5a4f3c2b1a9e8d.7c.environment.api.powerplatform.com',
  Google:
    'lh3.googleusercontent.com doc-0s-4g-docs.googleusercontent.com doc-14-78-sheets.googleusercontent.com ' +
    'rr4---sn-4g5edn6k.googlevideo.com r2---sn-hp57kn7e.gvt1.com ' +
    '9f86d081884c7d659a2feaa0c55ad015.safeframe.googlesyndication.com service-name-k3j4h5g6a7-uc.a.run.app ' +
    'service-123456789012.us-central1.run.app us-central1-my-project-4f3c2b.cloudfunctions.net ' +
    'my-project-4f3c2b.firebaseapp.com gke-4f3c2b1a9e8d7c6b5a4f3c2b1a9e8d7c6b5a-123456789012.us-central1.gke.goog ' +
    'oauth2.googleapis.com storage.googleapis.com my-ws.cluster-k3j4h5g6a7b8c9d0e1f2g3h4.cloudworkstations.dev ' +
    '2k9f8d7s6a5q4w3e2r1t0y9u8i7o6p5-dot-europe-west1.composer.googleusercontent.com 1h2j3k4l5m6n7-apps.usercontent.goog ' +
    'ade.googlesyndication.com fonts.gstatic.com clients2.google.com update.googleapis.com',
  'previews and platforms':
    'my-app-git-feature-login-acme-corp.vercel.app my-app-3k9f8d7s6-acme-corp.vercel.app ' +
    '64a1b2c3d4e5f6a7b8c9d0e1--my-site.netlify.app deploy-preview-1234--docs-site.netlify.app 8f3a2c1d.my-project.pages.dev ' +
    'feature-auth.my-project.pages.dev api.my-account.workers.dev pub-4f3c2b1a9e8d7c6b5a4f3c2b1a9e8d7c.r2.dev ' +
    '4f3c2b1a9e8d7c6b5a4f3c2b1a9e8d7c.r2.cloudflarestorage.com my-app-9f8e7d6c5b4a.herokuapp.com ' +
    'musical-space-waddle-4jx7q9pv6w5c5wq-3000.app.github.dev 3000-acme-widgets-k3j4h5g6a7b.ws-eu117.gitpod.io ' +
    'k3j4h5-3000.csb.app k03e2io1v3fx9wvj0vr8qd5q58o56n-fkdo--3000--365214aa.local-credentialless.webcontainer-api.io ' +
    'k03e2io1v3fx9wvj0vr8qd5q58o56nfkdo.w-credentialless-staticblitz.com ' +
    '5f2c9a7e-3b1d-4c88-9f60-0d7e2a4b6c1f-00-2k9f8d7s6a5q4.janeway.replit.dev acme-demo-space.hf.space ' +
    'my-api-production-4f3c.up.railway.app my-service-k3j4.onrender.com a1b2-203-0-113-7.ngrok-free.app ' +
    'lynx-happy-otter.trycloudflare.com laptop.tail4f3c2b.ts.net ' +
    'bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi.ipfs.dweb.link objects.githubusercontent.com ' +
    'pipelinesghubeus12.actions.githubusercontent.com release-assets.githubusercontent.com raw.githubusercontent.com',
  'databases and SaaS':
    'cluster0-shard-00-02.k3j4h.mongodb.net ep-cool-darkness-123456.us-east-2.aws.neon.tech eu1-happy-mole-34567.upstash.io ' +
    'xkqpvjwbtrghzmnclydf.supabase.co db.xkqpvjwbtrghzmnclydf.supabase.co xy12345.eu-central-1.snowflakecomputing.com ' +
    '4f3c2b1a9e8d47c6b5a4f3c2b1a9e8d7.us-central1.gcp.cloud.es.io my-deployment-4f3c2b.es.us-east-1.aws.found.io ' +
    'pkc-4k9f8.eu-central-1.aws.confluent.cloud dbc-4f3c2b1a-9e8d.cloud.databricks.com ' +
    'o4505001020203040.ingest.us.sentry.io o447951.ingest.sentry.io browser-intake-datadoghq.com ' +
    'http-intake.logs.datadoghq.eu bam.nr-data.net api.segment.io cdn.segment.com js.stripe.com hooks.slack.com ' +
    'files.slack.com wss-primary.slack.com acme.atlassian.net acme--staging.sandbox.my.salesforce.com acme.my.site.com ' +
    'acme-dev-ed.develop.lightning.force.com acme.sharepoint.com acmecorp.okta.com acme.eu.auth0.com ' +
    'dev-k3j4h5g6a7b8c9d0.us.auth0.com 1a2b3c4d.intake.eu.gleap.io acme.zendesk.com js.hs-scripts.com track.customer.io ' +
    'us-east-1.event-gateway.launchdarkly.com',
  'registries and code':
    'registry.npmjs.org registry.yarnpkg.com pypi.org files.pythonhosted.org static.crates.io index.crates.io ' +
    'proxy.golang.org sum.golang.org repo1.maven.org repo.maven.apache.org plugins.gradle.org rubygems.org api.nuget.org ' +
    'ghcr.io pkg-containers.githubusercontent.com registry-1.docker.io auth.docker.io production.cloudflare.docker.com ' +
    'docker-images-prod.6aa30f8b08e16409b46e0173d6de2f56.r2.cloudflarestorage.com deb.debian.org archive.ubuntu.com ' +
    'dl-cdn.alpinelinux.org conda.anaconda.org storage.conda.io nodejs.org github.com codeload.github.com gitlab.com ' +
    'bitbucket.org gitlab-registry-prod-cdn.storage.googleapis.com playwright.azureedge.net cdn.playwright.dev ' +
    'binaries.prisma.sh objects-origin.githubusercontent.com download.pytorch.org',
  'CDNs and the web':
    'cdnjs.cloudflare.com cdn.jsdelivr.net unpkg.com a248.e.akamai.net e12345.dscx.akamaiedge.net ' +
    'assets-cdn-4f3c2b.b-cdn.net prod.fastly-insights.global.ssl.fastly.net www.acme.com.edgekey.net ' +
    'scontent-fra3-1.xx.fbcdn.net static.xx.fbcdn.net ipv4-c001-fra001-ix.1.oca.nflxvideo.net upload.wikimedia.org ' +
    'en.wikipedia.org www.thequickbrownfoxjumpsoverthelazydog.com ' +
    'llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch.co.uk www.msftconnecttest.com ' +
    'www.bundesverfassungsgericht.de rechtsschutzversicherungsgesellschaften.de www.strassenverkehrsamt-muenchen.de ' +
    'przedsiebiorstwo-handlowe-szczecin.pl www.krzysztofwojciechowski.pl statens-kartverk.no ' +
    'www.grundschule-schwarzwaldstrasse.de xn--mnchen-ost-9db.de 163.com 360.cn 126.net qq.com ' +
    's3.dualstack.us-east-1.amazonaws.com time-a-g.nist.gov ftp.cs.wisc.edu www.ncbi.nlm.nih.gov eutils.ncbi.nlm.nih.gov ' +
    'export.arxiv.org web.archive.org news.ycombinator.com hn.algolia.com latency-dsn.algolia.net ' +
    'k3j4h5g6a7-dsn.algolia.net k3j4h5g6a7-3.algolianet.com api.open-meteo.com wttr.in www.w3.org schema.org ' +
    'json-schema.org cacerts.digicert.com ocsp.pki.goog r11.o.lencr.org',
  inside:
    'api.default.svc.cluster.local orders-6f9d8c7b5-x2k9q.orders-headless.prod.svc.cluster.local ' +
    'ip-10-0-12-34.eu-west-1.compute.internal 5f2c9a7e3b1d4c889f600d7e2a4b6c1f.nodes.internal db-primary.prod.acme.internal ' +
    'printer.lan nas.home.arpa jenkins-agent-4f3c2b1a.ci.acme.dev build-20261120-4f3c2b1.artifacts.acme.dev ' +
    'pr-1234-4f3c2b1a9e8d.preview.acme.dev 4f3c2b1a9e8d7c6b5a4f.cdn.acme.dev ' +
    'tenant-5f2c9a7e-3b1d-4c88-9f60-0d7e2a4b6c1f.app.acme.dev',
};

export const BENIGN_HOSTS: readonly string[] = Object.values(GROUPS).flatMap((hosts) => hosts.split(' '));
