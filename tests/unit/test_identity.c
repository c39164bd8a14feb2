/* SPDX-License-Identifier: BSD-2-Clause */
/* src/agent/identity: who a process is, by the texts of every container runtime. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/identity.h"
#include "base/vec.h"

#define ID   "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define UID  "6f3a2b1c-0d9e-4f8a-b7c6-5d4e3f2a1b0c"
#define UID_ "6f3a2b1c_0d9e_4f8a_b7c6_5d4e3f2a1b0c"
#define HASH "0f1e2d3c4b5a69788796a5b4c3d2e1f0"

static const struct {
	const char *text, *container, *pod, *unit, *machine;
} cgroups[] = {
	{ "0::/\n", "", "", "", "" },
	{ "", "", "", "", "" },
	/* docker, by cgroupfs and by systemd */
	{ "0::/docker/" ID "\n", ID, "", "", "" },
	{ "0::/system.slice/docker-" ID ".scope\n", ID, "", "", "" },
	{ "12:memory:/docker/" ID "\n1:name=systemd:/docker/" ID "\n", ID, "", "", "" },
	/* containerd under Kubernetes: systemd, cgroupfs, and one that mixes them */
	{ "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" UID_
	  ".slice/cri-containerd-" ID ".scope\n",
	  ID, UID, "", "" },
	{ "0::/kubepods/burstable/pod" UID "/" ID "\n", ID, UID, "", "" },
	{ "0::/system.slice/containerd.service/kubepods-burstable-pod" UID_
	  ".slice:cri-containerd:" ID "\n",
	  ID, UID, "", "" },
	/* a guaranteed pod has no level of its own; a static one a hash for a UID */
	{ "0::/kubepods.slice/kubepods-pod" UID_ ".slice/cri-containerd-" ID ".scope\n", ID, UID,
	  "", "" },
	{ "0::/kubepods/besteffort/pod" HASH "/" ID "\n", ID, HASH, "", "" },
	/* from a cgroup namespace of our own */
	{ "0::/../burstable/pod" UID "/" ID "\n", ID, UID, "", "" },
	{ "0::/../../kubepods-besteffort-pod" UID_ ".slice/cri-containerd-" ID ".scope\n", ID, UID,
	  "", "" },
	/* cri-o; its monitor is outside of the container, and in the pod */
	{ "0::/kubepods.slice/kubepods-pod" UID_ ".slice/crio-" ID ".scope\n", ID, UID, "", "" },
	{ "0::/kubepods.slice/kubepods-pod" UID_ ".slice/crio-conmon-" ID ".scope\n", "", UID, "",
	  "" },
	/* podman, of root and of a user */
	{ "0::/machine.slice/libpod-" ID ".scope/container\n", ID, "", "", "" },
	{ "0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" ID
	  ".scope/container\n",
	  ID, "", "", "" },
	{ "0::/ecs/0123456789abcdef0123456789abcdef/" ID "\n", ID, "", "", "" },
	/* lxc and systemd-nspawn, with a unit inside */
	{ "0::/lxc.payload.web/system.slice/shop.service\n", "", "", "shop.service", "web" },
	{ "1:name=systemd:/lxc/web/init.scope\n", "", "", "", "web" },
	{ "0::/machine.slice/machine-web.scope/payload/system.slice/shop.service\n", "", "",
	  "shop.service", "web" },
	{ "0::/machine.slice/systemd-nspawn@web.service/payload\n", "", "", "", "web" },
	/* systemd: a service, one of a user, a session, a template */
	{ "0::/system.slice/shop.service\n", "", "", "shop.service", "" },
	{ "0::/system.slice/system-shop.slice/shop@eu.service\n", "", "", "shop@eu.service", "" },
	{ "0::/user.slice/user-1000.slice/user@1000.service/app.slice/shop.service\n", "", "",
	  "shop.service", "" },
	{ "0::/user.slice/user-1000.slice/user@1000.service/init.scope\n", "", "", "", "" },
	{ "0::/user.slice/user-1000.slice/session-3.scope\n", "", "", "", "" },
	/* version 1 and both at once: systemd's own hierarchy says the unit */
	{ "4:memory:/system.slice\n1:name=systemd:/system.slice/shop.service\n0::/\n", "", "",
	  "shop.service", "" },
	{ "4:memory:/other.service\n1:name=systemd:/system.slice/shop.service\n", "", "",
	  "shop.service", "" },
	/* no pods */
	{ "0::/system.slice/podman.service\n", "", "", "podman.service", "" },
	{ "0::/tripod" UID "/x\n", "", "", "", "" },
	{ "0::/pod" UID "0/x\n", "", "", "", "" },
	{ "rubbish\n::\n0:\n0::", "", "", "", "" },
};

static void test_cgroups(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cgroups); i++) {
		struct identity id = { 0 };

		identity_cgroup(&id, cgroups[i].text);
		if (strcmp(id.container_id, cgroups[i].container) ||
		    strcmp(id.pod_uid, cgroups[i].pod) || strcmp(id.unit, cgroups[i].unit) ||
		    strcmp(id.machine, cgroups[i].machine))
			fail_msg("%s: container '%s', pod '%s', unit '%s', machine '%s'",
				 cgroups[i].text, id.container_id, id.pod_uid, id.unit, id.machine);
	}
}

static void make(const char *dir, const char *name)
{
	char path[600];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (name[strlen(name) - 1] == '/') {
		assert_int_equal(mkdir(path, 0700), 0);
		return;
	}
	f = fopen(path, "w");
	assert_non_null(f);
	fclose(f);
}

static void test_names(void **state)
{
	char dir[] = "/tmp/test_identity.XXXXXX", command[64];
	struct identity id = { .container_id = ID, .pod_uid = UID };

	(void)state;
	assert_non_null(mkdtemp(dir));
	identity_names(&id, dir); /* there are none */
	assert_string_equal(id.pod_name, "");
	make(dir, "containers/");
	make(dir, "pods/");
	make(dir, "containers/" ID ".log");
	make(dir, "containers/a_b-" ID ".log");
	make(dir, "containers/_.log");
	make(dir, "pods/prod_shop-7d9c5b8f6d-x2k4p_" UID "/");
	identity_names(&id, dir);
	assert_string_equal(id.pod_name, "shop-7d9c5b8f6d-x2k4p");
	assert_string_equal(id.pod_namespace, "prod");
	assert_string_equal(id.container_name, "");
	make(dir, "containers/shop-7d9c5b8f6d-x2k4p_prod_web-app-" ID ".log");
	identity_names(&id, dir);
	assert_string_equal(id.pod_name, "shop-7d9c5b8f6d-x2k4p");
	assert_string_equal(id.pod_namespace, "prod");
	assert_string_equal(id.container_name, "web-app");
	snprintf(command, sizeof(command), "rm -r %s", dir);
	assert_int_equal(system(command), 0);
}

static const char *attribute(const struct identity *id, const char *key)
{
	for (int i = 0; i < id->nattribute; i++)
		if (!strcmp(id->attribute[i].key, key))
			return id->attribute[i].value;
	return NULL;
}

static void test_attributes(void **state)
{
	static const char *const bad[] = {
		"a", "=b", "a=%zz", "a=%4", "a=b,c", "a=%00", "a=b,,=c"
	};
	struct identity id = { 0 }, copy;

	(void)state;
	assert_int_equal(identity_attributes(&id, "service.name=shop, team = blue%2C%20sky ,"
						  "service.namespace=prod,container.id=fake"),
			 0);
	assert_string_equal(id.service_name, "shop");
	assert_string_equal(id.service_namespace, "prod");
	assert_string_equal(attribute(&id, "team"), " blue, sky ");
	assert_null(attribute(&id, "service.name")); /* it has a place of its own */
	assert_null(attribute(&id, "container.id"));
	assert_string_equal(id.container_id, ""); /* not for a process to say */
	identity_copy(&id, &copy);
	memset(&id, 0xff, sizeof(id));
	assert_string_equal(attribute(&copy, "team"), " blue, sky ");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct identity none = { 0 };

		if (!identity_attributes(&none, bad[i]) || none.nattribute)
			fail_msg("'%s' was taken", bad[i]);
	}
}

#define ENVIRON(text) identity_environ(&id, text, sizeof(text) - 1)

static void test_environ(void **state)
{
	struct identity id = { 0 };

	(void)state;
	ENVIRON("PATH=/bin\0SECRET=OTEL_SERVICE_NAME=x\0"
		"OTEL_RESOURCE_ATTRIBUTES=service.name=second,a=b\0OTEL_SERVICE_NAME=first\0");
	assert_string_equal(id.service_name, "first");
	assert_string_equal(attribute(&id, "a"), "b");
	memset(&id, 0, sizeof(id));
	ENVIRON("\0\0OTEL_SERVICE_NAMES=no\0OTEL_SERVICE_NAME=yes"); /* cut off behind it */
	assert_string_equal(id.service_name, "yes");
	memset(&id, 0, sizeof(id));
	ENVIRON("OTEL_SERVICE_NAME=\0X=1");
	assert_string_equal(id.service_name, "");
}

static void settles(struct identity id, const char *name, const char *instance, bool guessed)
{
	strcpy(id.host_name, "node1");
	identity_settle(&id, "/srv/bin/shop");
	identity_version(&id, "v1.2.3");
	assert_string_equal(id.service_name, name);
	assert_string_equal(id.service_instance_id, instance);
	assert_int_equal(id.service_guessed, guessed);
	assert_string_equal(id.service_version, "v1.2.3");
}

static void test_order(void **state)
{
	struct identity id = { 0 };

	(void)state;
	settles(id, "shop", "node1.shop", true);
	strcpy(id.unit, "web-shop.service");
	settles(id, "web-shop", "node1.web-shop", true);
	id.unit[0] = '\0';
	strcpy(id.container_id, ID);
	settles(id, "shop", "node1.0123456789ab", true);
	strcpy(id.pod_name, "cart-7d9c5b8f6d-x2k4p");
	strcpy(id.pod_namespace, "prod");
	strcpy(id.container_name, "web");
	settles(id, "cart", "prod.cart-7d9c5b8f6d-x2k4p.web", true);
	strcpy(id.pod_name, "cart-12");
	settles(id, "cart", "prod.cart-12.web", true);
	strcpy(id.pod_name, "agent-x2k4p");
	settles(id, "agent", "prod.agent-x2k4p.web", true);
	strcpy(id.pod_name, "cart-aeiou-sugar"); /* not of the letters that suffixes are made of */
	settles(id, "cart-aeiou-sugar", "prod.cart-aeiou-sugar.web", true);
	strcpy(id.service_name, "said");
	strcpy(id.service_instance_id, "too");
	settles(id, "said", "too", false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cgroups),    cmocka_unit_test(test_names),
		cmocka_unit_test(test_attributes), cmocka_unit_test(test_environ),
		cmocka_unit_test(test_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
